"""``tools.test`` with several processes counts each image once and writes one file of scores."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.apis.color_world import method_model, prefixed, weights, write_world
from tests.training import ROOT
from tools.test import main

IMAGES = 5  # two processes cannot share them evenly


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Write five images, ``config.py`` and ``best.pth``; return their folder."""
    folder = tmp_path_factory.mktemp("two")
    cfg = write_world(folder, method_model())
    for index in range(2, IMAGES):
        for kind in ("images", "labels"):
            shutil.copy(folder / kind / f"im{index % 2}.png", folder / kind / f"im{index}.png")
    cfg.custom_imports = {"imports": ["tests.apis.color_world"]}
    cfg.dump(folder / "config.py")
    torch.save(prefixed("model", weights()), folder / "best.pth")
    return folder


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "tools.test", str(folder / "config.py"), str(folder / "best.pth")]
    command += ["--device", "cpu", "--work-dir", str(folder / "scores"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_two_processes_count_five_images_once(world, capsys):
    done = torchrun(
        world, "--launcher", "pytorch", "--eval", "mIoU", "--batch-size", "2",
        "--out", str(world / "out"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    main(
        [str(world / "config.py"), str(world / "best.pth"), "--device", "cpu", "--eval", "mIoU"]
        + ["--out", str(world / "alone")]
    )
    alone = capsys.readouterr().out
    assert done.stdout.count("mIoU  ") == 1 and f"{IMAGES} images" in done.stdout
    (scores,) = (world / "scores").iterdir()
    saved = json.loads(scores.read_text())
    assert saved == json.loads((world / "best_baseseg_eval.json").read_text())
    assert saved["images"] == IMAGES
    names = sorted(path.name for path in (world / "out").iterdir())
    assert names == [f"im{index}.png" for index in range(IMAGES)]
    for name in names:
        assert (world / "out" / name).read_bytes() == (world / "alone" / name).read_bytes()
    assert alone.splitlines()[0] in done.stdout
