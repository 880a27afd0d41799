import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.apis import inference_model, init_model
from mmseg.registry import MODELS
from tests.apis.pixel_world import write_world
from tests.campaigns.kills import fastest_config
from tests.tools.failing import error_of
from tests.tools.submission.submissions import night_files, png, renamed, write_zip
from tools import submit as tool
from tools import test as other_tool
from tools.submission.servers import BENCHMARKS
from tools.submit import main


@pytest.fixture
def paths(tmp_path):
    cfg, checkpoint = write_world(tmp_path)
    cfg.dump(tmp_path / "config.py")
    return [str(tmp_path / "config.py"), str(checkpoint)]


def test_submit_and_check(paths, tmp_path, capsys):
    out = str(tmp_path / "new" / "out.zip")
    assert main(["dark_zurich", *paths, out, "--device", "cpu"]) == 0
    note = "note: Dark Zurich test has 151 images, not 2"
    verdict = (
        "Dark Zurich test, 2 images: labelTrainIds/, labelTrainIds_invalid/, confidence/: "
        "names, sizes, mode and values are as its server expects them"
    )
    assert capsys.readouterr().out.splitlines() == [f"wrote {out}", note, verdict]
    assert main(["check", out, "--images", str(tmp_path / "night")]) == 0
    assert capsys.readouterr().out.splitlines() == [note, verdict]


def test_the_number_and_the_size_of_the_real_images(paths, tmp_path, capsys):
    out = str(tmp_path / "out.zip")
    main(["dark_zurich", *paths, out, "--device", "cpu"])
    capsys.readouterr()
    assert main(["check", out, "--size", "12x8", "--benchmark", "acdc"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["ACDC test, 2 images: 3 faults"]
    assert printed.err.splitlines() == [
        "wrong: 2 images in labelTrainIds/ instead of 2000",
        "wrong: 2 images in labelTrainIds_invalid/ instead of 2000",
        "wrong: 2 images in confidence/ instead of 2000",
    ]


def test_check_says_each_fault_in_a_line(tmp_path, capsys):
    files = renamed(lambda name: f"my/{name}")(night_files())
    files["my/confidence/GOPR0356_frame_000001_rgb_anon.png"] = png(np.zeros((4, 8, 3), np.uint8))
    del files["my/labelTrainIds/GOPR0356_frame_000002_rgb_anon.png"]
    images = tmp_path / "images"
    images.mkdir()
    for i in (1, 2):
        image = Image.fromarray(np.zeros((4, 8, 3), np.uint8))
        image.save(images / f"GOPR0356_frame_00000{i}_rgb_anon.png")
    path = write_zip(tmp_path / "a.zip", files)
    assert main(["check", str(path), "--images", str(images)]) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "wrong: labelTrainIds/, labelTrainIds_invalid/, confidence/ must be at the root of the "
        "zip, not in: my/",
        "wrong: missing: labelTrainIds/GOPR0356_frame_000002_rgb_anon.png",
        "wrong: RGB instead of one 8-bit grey channel: "
        "my/confidence/GOPR0356_frame_000001_rgb_anon.png",
    ]
    assert printed.out.splitlines()[-1] == "Dark Zurich test, 2 images: 3 faults"


def test_errors(paths, tmp_path):
    assert error_of(main, "check", tmp_path / "no.zip") == f"no zip at {tmp_path}/no.zip"
    arguments = ["acdc", *paths, tmp_path / "out.zip", "--data-root", tmp_path / "night"]
    message = error_of(main, *arguments, "--device", "cpu")
    assert message.startswith(f"folder {tmp_path}/night/rgb_anon/fog/test does not exist")


def test_sizes_are_given_once():
    error = error_of(main, "check", "a.zip", "--images", "images", "--size", "12x8")
    assert error == "--images gives the sizes already: leave out --size"


def test_usage(capsys):
    for arguments in (["kitti"], ["check", "a.zip", "--size", "12"], ["cityscapes", "a", "b"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert "expected WIDTHxHEIGHT, got '12'" in capsys.readouterr().err


def test_every_benchmark_has_its_command():
    assert list(tool.BENCHMARKS) == list(BENCHMARKS)


def test_help_is_fast():
    code = "import sys, tools.submit as t\ntry: t.parse_args(['--help'])\nfinally: "
    code += "print('torch' in sys.modules, 'mmseg.evaluation' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "False False"


def test_format_only_on_toy_night_images(paths, toy_night_root, tmp_path, capsys):
    folder = tmp_path / "out" / "labelTrainIds"
    root = toy_night_root / "dark_zurich"
    options = [
        f"test_dataloader.dataset.{key}={value}"
        for key, value in {
            "data_root": root,
            "data_prefix.img_path": "rgb_anon/test/night",
            "indices": "None",
        }.items()
    ]
    arguments = ["--format-only", "--eval-options", f"imgfile_prefix={folder}", "--device", "cpu"]
    other_tool.main([*paths, *arguments, "--cfg-options", *options])
    assert capsys.readouterr().out.splitlines() == [f"wrote {folder}"]
    images = sorted(root.glob("rgb_anon/test/night/*/*.png"))
    assert [path.name for path in sorted(folder.iterdir())] == [path.name for path in images]
    assert len(images) == 3
    for path in images:
        prediction = Image.open(folder / path.name)
        assert (prediction.mode, prediction.size) == ("P", Image.open(path).size)
        assert np.array(prediction).max() < 19
    out = str(tmp_path / "toy.zip")
    main(["dark_zurich", *paths, out, "--device", "cpu", "--data-root", str(root)])
    assert main(["check", out, "--images", str(root / "rgb_anon/test/night")]) == 0


@pytest.mark.parametrize(("name", "exp", "count"), [("acdc", 29, 4), ("dark_zurich", 30, 3)])
def test_hrda_predicts_test_images_by_windows(name, exp, count, toy_night_root, tmp_path, capsys):
    cfg = fastest_config(toy_night_root, tmp_path, exp)
    assert cfg.model.segmentor.test_cfg.mode == "slide"
    cfg.dump(tmp_path / "config.py")
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "weights.pth")
    out = str(tmp_path / "out.zip")
    arguments = [str(tmp_path / "config.py"), str(tmp_path / "weights.pth"), out]
    assert main([name, *arguments, "--device", "cpu"]) == 0
    capsys.readouterr()
    images = toy_night_root / name / "rgb_anon"
    assert main(["check", out, "--benchmark", name, "--images", str(images)]) == 0
    assert f"test, {count} images: labelTrainIds/" in capsys.readouterr().out
    path = next(images.glob("**/test/**/*.png"))
    with zipfile.ZipFile(out) as archive, archive.open(f"labelTrainIds/{path.name}") as file:
        found = np.array(Image.open(file))
    expected = inference_model(init_model(cfg, tmp_path / "weights.pth", "cpu"), path)
    np.testing.assert_array_equal(found, expected.pred_sem_seg.data[0])
    assert len(np.unique(found)) > 1
