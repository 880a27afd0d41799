import os
from pathlib import Path

import pytest
import torch

from demo import segment_toy_images as script
from mmseg.datasets.image_files import read_image
from mmseg.utils import InputError
from tests.apis.color_world import method_model, prefixed, weights, write_world


@pytest.fixture
def run(tmp_path) -> Path:
    """Write two runs of the demo on the colour world; return the newer."""
    cfg = write_world(tmp_path, method_model(), scale=16)
    for age, name in enumerate(("a_sepico_DistCL_seed1", "b_sepico_DistCL_seed0")):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        cfg.dump(folder / f"{name}.json")
        for iteration in (100, 400):
            checkpoint = folder / f"iter_{iteration}.pth"
            torch.save(prefixed("model", weights()), checkpoint)
            os.utime(checkpoint, (1e9 - age, 1e9 - age))
    return tmp_path / "runs" / "a_sepico_DistCL_seed1"


def segment(folder: Path, *arguments: str | Path) -> None:
    """Call the script with the images of the colour world in ``folder``."""
    script.main([*map(str, arguments), "--images", str(folder / "images")])


def test_it_draws_predictions_of_the_newest_model(run, tmp_path, capsys):
    out = tmp_path / "seen.png"
    segment(tmp_path, "--runs", tmp_path / "runs", "--out", out)
    assert capsys.readouterr().out.splitlines() == [
        f"model: {run / 'iter_400.pth'}",
        f"wrote {out}",
    ]
    assert read_image(str(out)).shape[1] == 4 * 320 + 5 * 8


def test_another_model_can_be_named(run, tmp_path, capsys):
    checkpoint = run / "iter_100.pth"
    segment(tmp_path, run / f"{run.name}.json", checkpoint, "--out", tmp_path / "seen.png")
    assert f"model: {checkpoint}" in capsys.readouterr().out


def test_it_says_what_to_run_first(run, tmp_path):
    with pytest.raises(InputError, match="run `python tools/make_toy_data.py`"):
        segment(tmp_path / "nowhere", "--runs", tmp_path / "runs")
    with pytest.raises(InputError, match="run `make demo`, or, .* --exp 0 --debug`"):
        segment(tmp_path, "--runs", tmp_path)
