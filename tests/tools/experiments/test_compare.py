"""Compare several checkpoints side by side."""

import copy
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.visualization.panels import GAP
from tests.training import small_config
from tools.experiments.compare import compare, comparison_picture, score


def test_table_picture_and_scores(toy_root, tmp_path):
    cfg = small_config(toy_root, tmp_path)
    # like a night config: the test images have no labels, the validation images do
    cfg.test_dataloader = copy.deepcopy(cfg.val_dataloader)
    cfg.test_dataloader.dataset.data_prefix.pop("seg_map_path")
    # like a config with SYNTHIA as source
    cfg.test_evaluator = {"type": "IoUMetric", "iou_metrics": ["mIoU", "mIoU16", "mIoU13"]}
    runs = {}
    for seed, name in enumerate(("one", "the other")):
        torch.manual_seed(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        cfg.dump(folder / "config.json")
        torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, folder / "iter_1.pth")
        runs[name] = score(folder / "config.json", device="cpu")
    found = compare({"seed 7": runs}, tmp_path / "out", "night", baseline="one")
    summaries = [
        json.loads((tmp_path / f"{seed}/iter_1_cityscapes_eval.json").read_text())["summary"]
        for seed in (0, 1)
    ]
    assert [run.result["summary"] for run in runs.values()] == summaries
    lines = found.table.splitlines()
    assert lines[0].split() == ["class", "one", "the", "other", "difference"]
    for name, line in zip(("mIoU", "mIoU16", "mIoU13"), lines[-3:], strict=True):
        one, other = (summary[name] for summary in summaries)
        assert line.split() == [name, f"{one:.2f}", f"{other:.2f}", f"{other - one:+.2f}"]
    files = {what: path for path, what in found.files.items()}
    assert files["table"].read_text() == found.table + "\n"
    assert files["CSV"].read_text().startswith("class,method,mean,std,seed 7\nroad,one,")
    assert files["LaTeX"].read_text().count("& mIoU & mIoU16 & mIoU13") == 1
    assert {path.name for path in files.values()} == {
        f"night.{suffix}" for suffix in ("txt", "csv", "tex", "png")
    }
    assert np.asarray(Image.open(files["picture"])).shape[1] > 1000
    predictions = sorted((tmp_path / "1" / "predictions").iterdir())
    assert len(predictions) == 2
    assert np.asarray(Image.open(predictions[0])).max() < 19

    # A run that has its result is not evaluated again, as its weights are not read.
    checkpoint = tmp_path / "1" / "iter_1.pth"
    times = checkpoint.stat()
    checkpoint.write_bytes(b"damaged")
    os.utime(checkpoint, (times.st_atime, times.st_mtime))
    assert score(tmp_path / "1" / "config.json", "cpu").result == {
        key: value for key, value in runs["the other"].result.items() if key != "file"
    }
    os.utime(checkpoint)
    with pytest.raises(InputError, match="iter_1.pth is not a readable checkpoint"):
        score(tmp_path / "1" / "config.json", "cpu")


def test_comparison_has_a_row_per_image_a_column_per_method():
    red, blue = (255, 0, 0), (0, 0, 255)
    label = np.array([[0, 1], [255, 1]])
    images = [np.full((50, 100, 3), 9, np.uint8)] * 3
    picture = comparison_picture(
        images,
        [label] * 3,
        {"source only": [label * 0] * 3, "SePiCo": [label * 0 + 1] * 3},
        {"source only": "40.0 mIoU", "SePiCo": "60.0 mIoU"},
        ["red", "blue"],
        [red, blue],
        cell_width=100,
    )
    assert picture.shape[1] == 4 * 100 + 5 * GAP
    # the third column shows only class 0, the fourth only class 1, in three rows of one height
    third = (picture[:, 2 * 100 + 3 * GAP + 50] == red).all(1).sum()
    fourth = (picture[:, 3 * 100 + 4 * GAP + 50] == blue).all(1).sum()
    assert third == fourth == 3 * 100
