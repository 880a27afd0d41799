import subprocess
import sys

import pytest
import torch

from mmseg.utils import InputError
from tests.apis.color_world import method_model, prefixed, weights, write_world
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


def test_format_only_and_out_and_show_dir(paths, tmp_path, capsys):
    a, b, c = (str(tmp_path / name) for name in "abc")
    arguments = ["--format-only", "--eval-options", f"imgfile_prefix={a}", "--out", b]
    main([*paths, *arguments, "--show-dir", c, "--opacity", "0.7"])
    assert capsys.readouterr().out.splitlines() == [f"wrote {b}", f"wrote {a}", f"wrote {c}"]
    for folder in "abc":
        assert sorted(p.name for p in (tmp_path / folder).iterdir()) == ["im0.png", "im1.png"]


@pytest.mark.parametrize("flag", ["--options", "--cfg-options"])
def test_overrides(paths, flag, capsys):
    main([*paths, "--eval", "mIoU", flag, "test_dataloader.dataset.indices=1"])
    assert "BaseSegDataset, 1 images, student" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "choose at least one of --eval, --out, --show-dir, --format-only"),
        (["--eval", "mDice"], "--eval mDice: unknown metric; there is mIoU"),
        (["--format-only"], "imgfile_prefix=DIR belong together"),
        (["--eval", "mIoU", "--eval-options", "imgfile_prefix=x"], "belong together"),
        (["--eval-options", "efficient_test=True"], "there is imgfile_prefix"),
        (["--eval", "mIoU", "--format-only", "--eval-options", "imgfile_prefix=x"], "leave out"),
        (["--out", "results.pkl"], "name a folder"),
        (["--show-dir", "x", "--opacity", "7"], "opacity"),
    ],
)
def test_what_makes_no_sense_is_said(paths, arguments, message):
    with pytest.raises(InputError, match=message):
        main([*paths, *arguments])


def test_as_a_program_an_error_is_one_line():
    command = [sys.executable, "-m", "tools.test", "nowhere.py", "nowhere.pth", "--eval", "mIoU"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: no config at nowhere.py"
    assert "Traceback" not in done.stderr
