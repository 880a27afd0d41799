import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from mmseg.datasets.evaluation_sets import EVALUATION_SETS
from mmseg.utils import InputError
from tests.apis.color_world import ThePixels, method_model, prefixed, weights, write_world
from tests.apis.street_world import night_config, write_checkpoint, write_streets
from tools.test import main


@pytest.fixture
def paths(tmp_path):
    cfg = write_world(tmp_path, method_model())
    cfg.custom_imports = {"imports": ["tests.apis.color_world"]}
    cfg.dump(tmp_path / "config.py")
    torch.save(prefixed("model", weights()), tmp_path / "best.pth")
    return [str(tmp_path / "config.py"), str(tmp_path / "best.pth"), "--device", "cpu"]


def test_eval_prints_the_table_and_says_where_it_is(paths, tmp_path, capsys):
    main([*paths, "--eval", "mIoU"])
    printed = capsys.readouterr().out.splitlines()
    assert "red    75.00   75.00" in printed
    assert "mIoU       45.00" in printed
    assert printed[-1] == f"saved as {tmp_path / 'best_baseseg_eval.json'}"


def test_the_mean_over_chosen_classes(paths, capsys):
    main([*paths, "--eval", "mIoU", "--classes", "red", "blue"])
    printed = capsys.readouterr().out.splitlines()
    assert "mIoU_chosen    37.50" in printed  # 75 and 0
    assert "mIoU_chosen: mean of 2 classes, without green" in printed
    with pytest.raises(InputError, match="no class 'rd': choose from 'red', 'green', 'blue'"):
        main([*paths, "--eval", "mIoU", "--classes", "rd"])
    with pytest.raises(InputError, match="--classes needs scores: it goes with --eval mIoU"):
        main([*paths, "--out", "somewhere", "--classes", "red"])


def test_format_only_and_out_and_show_dir(paths, tmp_path, capsys):
    a, b, c = (str(tmp_path / name) for name in "abc")
    arguments = ["--format-only", "--eval-options", f"imgfile_prefix={a}", "--out", b]
    main([*paths, *arguments, "--show-dir", c, "--opacity", "0.7"])
    assert capsys.readouterr().out.splitlines() == [f"wrote {b}", f"wrote {a}", f"wrote {c}"]
    for folder in "abc":
        assert sorted(p.name for p in (tmp_path / folder).iterdir()) == ["im0.png", "im1.png"]


def test_table_as_a_file(paths, tmp_path, capsys):
    main([*paths, "--eval", "mIoU", "--table", str(tmp_path / "deep" / "t.txt")])
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {tmp_path / 'deep' / 't.txt'}"
    assert (tmp_path / "deep" / "t.txt").read_text().splitlines() == [
        f"checkpoint: {tmp_path / 'best.pth'}",
        f"config: {tmp_path / 'config.py'}",
        "",
        f"BaseSegDataset in {tmp_path}, 2 images, student",
        "",
        "class    IoU     Acc",
        "--------------------",
        "red    75.00   75.00",
        "green  60.00  100.00",
        "blue    0.00       -",
        "",
        "summary  percent",
        "----------------",
        "aAcc       80.00",
        "mIoU       45.00",
        "mAcc       87.50",
        "mIoU_gt    67.50",
        "",
        "IoU 0.00 without Acc: the class is predicted but not in the ground truth; it counts in "
        "mIoU,",
        "but not in mIoU_gt, the mean over the classes in the ground truth.",
        "IoU -: the class is neither predicted nor in the ground truth; it is left out of the "
        "means.",
    ]


def test_several_data_sets_by_name_and_by_config(tmp_path, capsys):
    root = write_streets(tmp_path / "data")
    cfg = night_config(root)
    cfg.dump(tmp_path / "night.py")
    cfg.test_dataloader.dataset.data_prefix = cfg.val_dataloader.dataset.data_prefix
    cfg.test_dataloader.dataset.pipeline = cfg.val_dataloader.dataset.pipeline
    cfg.dump(tmp_path / "mine.py")
    checkpoint = write_checkpoint(tmp_path / "night.pth")
    main(
        [
            *map(str, (tmp_path / "night.py", checkpoint, "--device", "cpu", "--eval", "mIoU")),
            *("--dataset", "night_driving", str(tmp_path / "mine.py")),
            *("--data-root", f"night_driving={root / 'night_driving'}"),
            *("--table", str(tmp_path / "t.txt")),
        ]
    )
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["class", "night_driving", "mine"] in lines
    assert ["mIoU", "25.00", "0.00"] in lines  # class weights for Dark Zurich alone
    assert lines[-1] == ["wrote", str(tmp_path / "t.txt")]
    saved = sorted(path.name for path in tmp_path.glob("*_eval.json"))
    assert saved == ["night_mine_eval.json", "night_nightdriving_eval.json"]


def test_help_names_the_data_sets(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in EVALUATION_SETS)


def test_a_data_root_without_folder_is_a_usage_error(paths, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*paths, "--eval", "mIoU", "--dataset", "acdc", "--data-root", "acdc"])
    assert stop.value.code == 2
    assert "expected NAME=DIR, got 'acdc'" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--options", "--cfg-options"])
def test_overrides(paths, flag, capsys):
    main([*paths, "--eval", "mIoU", flag, "test_dataloader.dataset.indices=1"])
    assert (
        f"BaseSegDataset in {Path(paths[0]).parent}, 1 images, student" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [
        ([], None),  # although training uses bf16
        (["--amp"], torch.bfloat16),
        (["--amp", "fp16", "--channels-last", "--batch-size", "1"], torch.float16),
    ],
)
def test_precision_is_chosen_by_an_option_and_scores_stay(paths, arguments, dtype, capsys):
    seen = set()

    def watch(module, inputs):
        if isinstance(module, ThePixels):
            seen.add(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None)

    handle = register_module_forward_pre_hook(watch)
    options = ["--cfg-options", "performance.precision=bf16"]
    main([*paths, "--eval", "mIoU", *arguments, *options])
    handle.remove()
    assert "mIoU       45.00" in capsys.readouterr().out.splitlines()
    assert seen == {dtype}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "choose at least one of --eval, --out, --show-dir, --format-only"),
        (
            ["--eval", "mAP"],
            "--eval mAP: unknown metric; choose from mIoU, mDice, mFscore, cityscapes",
        ),
        (["--format-only"], "imgfile_prefix=DIR belong together"),
        (["--eval", "mIoU", "--eval-options", "imgfile_prefix=x"], "belong together"),
        (["--eval-options", "efficient_test=True"], "choose from imgfile_prefix=DIR and to_"),
        (["--eval-options", "to_label_id=True"], "to_label_id is for --format-only"),
        (["--eval-options", "to_label_id=3"], "to_label_id must be True or False, not 3"),
        (["--format-only", "--eval-options", "imgfile_prefix=2024"], "write ./ before it"),
        (["--format-only", "--eval-options", "imgfile_prefix=a,b"], "must be one folder"),
        (["--eval", "mIoU", "--format-only", "--eval-options", "imgfile_prefix=x"], "leave out"),
        (["--out", "results.pkl"], "name a folder"),
        (["--eval", "mIoU", "--batch-size", "0"], "--batch-size must be at least 1, not 0"),
        (["--show-dir", "x", "--opacity", "7"], "opacity"),
        (["--out", "x", "--table", "t.txt"], "--table needs scores: it goes with --eval mIoU"),
        (["--eval", "mIoU", "--table", "."], "is a folder: name a text file"),
        (["--eval", "mIoU", "--dataset", "kitti"], "--dataset kitti: unknown; choose from"),
        (["--eval", "mIoU", "--data-root", "acdc=x"], "--dataset does not name acdc"),
        (["--eval", "mIoU", "--dataset", "acdc", "--data-root", "acdc=gone"], r"acdc \(gone\)"),
    ],
)
def test_options_that_make_no_sense_are_refused(paths, arguments, message):
    with pytest.raises(InputError, match=message):
        main([*paths, *arguments])


def test_as_a_program_an_error_is_one_line():
    command = [sys.executable, "-m", "tools.test", "nowhere.py", "nowhere.pth", "--eval", "mIoU"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: no config at nowhere.py"
    assert "Traceback" not in done.stderr
