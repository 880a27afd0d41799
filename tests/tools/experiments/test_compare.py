"""Compare several checkpoints side by side."""

import copy
import json

import numpy as np
import torch
from PIL import Image

from mmseg.registry import MODELS
from mmseg.utils.config import load_config
from mmseg.visualization.panels import GAP
from tests.training import small_config
from tools.experiments.compare import compare, comparison_picture


def test_table_picture_and_scores(toy_root, tmp_path):
    cfg = small_config(toy_root, tmp_path)
    # like a night config: the test images have no labels, the validation images do
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    cfg.test_dataloader.dataset.data_prefix.pop("seg_map_path")
    # like a config with SYNTHIA as source
    cfg.test_evaluator = {"type": "IoUMetric", "iou_metrics": ["mIoU", "mIoU16", "mIoU13"]}
    cfg.dump(tmp_path / "config.json")
    cfg = load_config(tmp_path / "config.json")
    checkpoints = {}
    for seed, name in enumerate(("one", "the other")):
        torch.manual_seed(seed)
        checkpoints[name] = (cfg, tmp_path / f"{seed}.pth")
        torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, tmp_path / f"{seed}.pth")
    found = compare(checkpoints, tmp_path / "out", device="cpu")
    table = found.table
    summaries = [
        json.loads((tmp_path / f"{seed}_cityscapes_eval.json").read_text())["summary"]
        for seed in (0, 1)
    ]
    assert [result["summary"] for result in found.results.values()] == summaries
    assert table.splitlines()[0].split() == ["class", "one", "the", "other", "difference"]
    for name, line in zip(("mIoU", "mIoU16", "mIoU13"), table.splitlines()[-3:], strict=True):
        one, other = (summary[name] for summary in summaries)
        assert line.split() == [name, f"{one:.2f}", f"{other:.2f}", f"{other - one:+.2f}"]
    assert (tmp_path / "out" / "comparison.txt").read_text() == table + "\n"
    assert np.asarray(Image.open(found.picture)).shape[1] > 1000
    predictions = sorted((tmp_path / "out" / "predictions" / "the_other").iterdir())
    assert len(predictions) == 2
    assert np.asarray(Image.open(predictions[0])).max() < 19


def test_comparison_has_a_row_per_image_a_column_per_method():
    red, blue = (255, 0, 0), (0, 0, 255)
    label = np.array([[0, 1], [255, 1]])
    images = [np.full((50, 100, 3), 9, np.uint8)] * 3
    picture = comparison_picture(
        images,
        [label] * 3,
        {"source only": [label * 0] * 3, "SePiCo": [label * 0 + 1] * 3},
        {"source only": 40.0, "SePiCo": 60.0},
        ["red", "blue"],
        [red, blue],
        cell_width=100,
    )
    assert picture.shape[1] == 4 * 100 + 5 * GAP
    # the third column shows only class 0, the fourth only class 1, in three rows of one height
    third = (picture[:, 2 * 100 + 3 * GAP + 50] == red).all(1).sum()
    fourth = (picture[:, 3 * 100 + 4 * GAP + 50] == blue).all(1).sum()
    assert third == fourth == 3 * 100
