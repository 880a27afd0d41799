import subprocess
import sys

import pytest
import torch

from mmseg.datasets.image_files import read_label
from tests.apis.color_world import method_model, prefixed, weights, write_world
from tests.tools.failing import error_of
from tools.predict import main


@pytest.fixture
def paths(tmp_path):
    cfg = write_world(tmp_path, method_model())
    cfg.custom_imports = {"imports": ["tests.apis.color_world"]}
    cfg.dump(tmp_path / "config.py")
    torch.save(prefixed("model", weights()), tmp_path / "best.pth")
    return [str(tmp_path / name) for name in ("config.py", "best.pth", "images")]


def test_predictions_are_written_and_counted(paths, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--what", "ids", "overlay", "--batch-size", "2", "--device", "cpu"]
    assert main([*paths, "--out-dir", str(out), *options]) == 0
    assert capsys.readouterr().out == f"2 images and 0 videos in {out}: ids, overlay\n"
    assert sorted(p.name for p in out.iterdir()) == ["ids", "overlay"]


def test_windows_and_overrides(paths, tmp_path):
    """Windows of one pixel find the single blue pixel at the bottom right of image 1."""
    options = ["--mode", "slide", "--crop-size", "1", "1", "--stride", "1", "1", "--what", "ids"]
    overrides = ["--cfg-options", "model.segmentor.decode_head.init_cfg=None"]
    assert main([*paths, "--out-dir", str(tmp_path / "out"), *options, *overrides]) == 0
    assert read_label(str(tmp_path / "out" / "ids" / "im1.png"))[-1, -1] == 2


def test_what_cannot_be_read_is_listed_and_fails_the_command(paths, tmp_path, capsys):
    (tmp_path / "images" / "a.jpg").touch()
    assert main([*paths, "--out-dir", str(tmp_path / "out"), "--what", "ids"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("2 images and 0 videos in")
    assert captured.err.splitlines() == [
        f"not predicted: {tmp_path}/images/a.jpg is empty: copy or write it again",
        "error: 1 of 3 inputs could not be predicted (listed above)",
    ]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--mode", "whole", "--stride", "4", "4"], "belong to --mode slide"),
        (["--mode", "slide"], "give --crop-size H W"),
        (["--opacity", "2"], "the opacity must be in [0, 1], not 2.0"),
        (["--batch-size", "0"], "--batch-size must be at least 1"),
    ],
)
def test_invalid_options_are_refused(paths, tmp_path, options, message):
    assert message in error_of(main, *paths, "--out-dir", tmp_path / "out", *options)


def test_as_a_program():
    command = [sys.executable, "-m", "tools.predict", "nowhere.py", "x.pth", ".", "--out-dir", "y"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (1, "error: no config at nowhere.py\n")
