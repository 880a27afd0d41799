"""Several checkpoints side by side."""

import json

import numpy as np
import torch
from PIL import Image

from mmseg.apis.compare import compare
from mmseg.registry import MODELS
from mmseg.utils.config import load_config
from tests.training import small_config


def test_table_picture_and_scores(toy_root, tmp_path):
    cfg = small_config(toy_root, tmp_path)
    cfg.dump(tmp_path / "config.json")
    cfg = load_config(tmp_path / "config.json")
    checkpoints = {}
    for seed, name in enumerate(("one", "the other")):
        torch.manual_seed(seed)
        checkpoints[name] = (cfg, tmp_path / f"{seed}.pth")
        torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, tmp_path / f"{seed}.pth")
    table, picture = compare(checkpoints, tmp_path / "out", device="cpu")
    scores = [
        json.loads((tmp_path / f"{seed}_cityscapes_eval.json").read_text())["summary"]["mIoU"]
        for seed in (0, 1)
    ]
    assert table.splitlines()[0].split() == ["class", "one", "the", "other", "difference"]
    difference = f"{scores[1] - scores[0]:+.2f}"
    last = ["mIoU", f"{scores[0]:.2f}", f"{scores[1]:.2f}", difference]
    assert table.splitlines()[-1].split() == last
    assert (tmp_path / "out" / "comparison.txt").read_text() == table + "\n"
    assert np.asarray(Image.open(picture)).shape[1] > 1000
    predictions = sorted((tmp_path / "out" / "predictions" / "the_other").iterdir())
    assert len(predictions) == 2
    assert np.asarray(Image.open(predictions[0])).max() < 19
