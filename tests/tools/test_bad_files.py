"""Damaged data and checkpoints give one line on stderr and status 1, and leave nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.apis.train import train
from mmseg.utils.checkpoint import load_checkpoint
from tests.datasets.small_data import cut
from tests.tools.failing import train_error
from tests.training import ROOT, own_copy, small_config


def rewrite(folder: Path, pattern: str, change) -> None:
    for path in folder.rglob(pattern):
        Image.fromarray(change(np.array(Image.open(path)))).save(path)


def cut_all(folder: Path, pattern: str) -> None:
    for path in folder.rglob(pattern):
        cut(path, path.stat().st_size // 2)


LABELS = "*_labelTrainIds.png"
DATA = {
    "empty folder": (
        lambda root: [path.unlink() for path in root.glob("gta/images/*")],
        "gta/images holds no images (*.png)",
    ),
    "no label": (
        lambda root: (root / f"gta/labels/00003{LABELS[1:]}").unlink(),
        "00003_labelTrainIds.png is missing: run `python -m tools.convert_datasets.gta ",
    ),
    "no statistics": (
        lambda root: (root / "gta/sample_class_stats.json").unlink(),
        "gta/sample_class_stats.json is missing, which rare class sampling needs: run `python -m "
        "tools.convert_datasets.gta ",
    ),
    "label value": (
        lambda root: rewrite(root / "gta/labels", LABELS, lambda label: label * 0 + 77),
        "_labelTrainIds.png holds the value 77, but there are 19 classes",
    ),
    "label size": (
        lambda root: rewrite(root / "gta/labels", LABELS, lambda label: label[:-3]),
        "_labelTrainIds.png is 256x141 pixels large, its image ",
    ),
    "truncated target": (
        lambda root: cut_all(root / "cityscapes/leftImg8bit/train", "*.png"),
        "_leftImg8bit.png is truncated (",
    ),
}


@pytest.mark.parametrize("case", DATA)
def test_data(toy_root, tmp_path, case):
    damage, message = DATA[case]
    root = own_copy(toy_root, tmp_path)
    damage(root)
    small_config(root, tmp_path).dump(tmp_path / "c.json")
    assert message in train_error(tmp_path / "c.json")


@pytest.fixture(scope="module")
def checkpoint(toy_root, tmp_path_factory) -> Path:
    """Return the checkpoint of a run of one iteration."""
    folder = tmp_path_factory.mktemp("one")
    cfg = small_config(toy_root, folder)
    cfg.train_cfg.update(max_iters=1, val_interval=1)
    cfg.default_hooks.checkpoint.update(interval=1, save_best=None)
    train(cfg, device="cpu")
    return folder / "run" / "iter_1.pth"


def test_checkpoints_to_start_from(config, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda *_: "20260101_000000")  # starts in one second
    start = tmp_path / "start.pth"
    option = ("--cfg-options", f"load_from={start}")
    start.write_bytes(checkpoint.read_bytes()[:100000])
    assert train_error(config, *option).startswith(f"{start} is not a readable checkpoint (damaged")
    torch.save({"a": torch.zeros(1), "b": torch.zeros(1)}, start)
    message = train_error(config, *option)
    assert "does not fit the model of the config" in message
    assert "missing (backbone.stem.0.weight, " in message
    assert "2 unexpected (a, b)" in message


def test_checkpoints_to_resume_from(config, checkpoint, tmp_path):
    run = tmp_path / "deep" / "run"
    run.mkdir(parents=True)
    last = run / "iter_1.pth"
    last.write_bytes(checkpoint.read_bytes()[:100000])
    assert f"{last} is not a readable checkpoint" in train_error(config, "--resume")
    content = load_checkpoint(checkpoint)
    torch.save({"state_dict": content["state_dict"]}, last)
    message = train_error(config, "--resume")
    assert "cannot be resumed from, it lacks meta, optimizer, param_schedulers" in message
    assert "--cfg-options load_from=" in message
    student = {k: v for k, v in content["state_dict"].items() if k.startswith("model.")}
    torch.save(content | {"state_dict": student}, last)
    message = train_error(config, "--resume")
    assert "missing (_extra_state, ema_model.backbone.stem.0.weight, " in message
    assert [path.name for path in run.iterdir()] == ["iter_1.pth"]


def program(*arguments: str | Path) -> list[str]:
    """Run a Python program that must fail with status 1; return its lines on stderr."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.splitlines()


def test_truncated_image_in_a_worker_of_a_program(toy_root, tmp_path):
    root = own_copy(toy_root, tmp_path)
    cut_all(root / "gta/images", "*.png")
    cfg = small_config(root, tmp_path)
    cfg.train_dataloader.num_workers = 2
    cfg.dump(tmp_path / "c.json")
    work_dir = tmp_path / "run"
    lines = program(
        "-m", "tools.train", tmp_path / "c.json", "--work-dir", work_dir, "--device", "cpu"
    )
    assert lines[-1].startswith(f"error: {root}/gta/images/0000")
    assert "png is truncated (" in lines[-1]
    assert sum("error:" in line for line in lines) == 1
    assert not work_dir.exists()


def test_truncated_label_in_the_program_that_converts(toy_root, tmp_path):
    root = own_copy(toy_root, tmp_path) / "gta"
    damaged = root / "labels/00002.png"
    statistics = json.loads((root / "sample_class_stats.json").read_text())
    assert len(statistics) == 12
    for path in [*root.glob("*.json"), *root.glob(f"labels/{LABELS}")]:
        path.unlink()
    cut(damaged, -20)
    lines = program("tools/convert_datasets/gta.py", root, "--nproc", "2")
    assert f"damaged: {damaged} is truncated" in lines[-2]
    assert lines[-1].startswith("error: 1 of 12 label files are damaged (listed above)")
    assert list(root.glob("*.json")) == []
