"""Compare our scores with those of the official Cityscapes script."""

import copy
import math

import numpy as np
import pytest
import torch
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
from cityscapesscripts.helpers.labels import labels
from PIL import Image

from mmseg.evaluation import confusion_matrix, iou_and_accuracy

TRAIN_LABELS = sorted((each for each in labels if 0 <= each.trainId < 19), key=lambda x: x.trainId)


def test_equals_cityscapesscripts_on_label_ids(tmp_path):
    to_train_id = np.full(256, 255)
    for each in labels:
        if each.id >= 0 and 0 <= each.trainId < 19:
            to_train_id[each.id] = each.trainId
    ids = np.array([each.id for each in TRAIN_LABELS])
    in_truth = np.array([*ids[:16], 0, 4, 10])  # ignored ids too; no train, motorcycle, bicycle
    predicted = ids[:17]  # train: predicted but absent; motorcycle, bicycle: nowhere

    rs = np.random.RandomState(1)
    total, files = torch.zeros(19, 19, dtype=torch.int64), []
    for i in range(2):
        truth = rs.choice(in_truth, (24, 32)).astype(np.uint8)
        pred = np.where(rs.rand(24, 32) < 0.5, truth, rs.choice(predicted, (24, 32)))
        pred = np.where(np.isin(pred, ids), pred, ids[0]).astype(np.uint8)
        files.append((str(tmp_path / f"pred{i}.png"), str(tmp_path / f"gt{i}_labelIds.png")))
        for array, path in zip((pred, truth), files[-1], strict=True):
            Image.fromarray(array).save(path)
        total += confusion_matrix(
            torch.as_tensor(to_train_id[pred]), torch.as_tensor(to_train_id[truth]), 19
        )

    args = copy.copy(official.args)
    args.evalInstLevelScore, args.JSONOutput, args.quiet = False, False, True
    theirs = official.evaluateImgLists(*(list(each) for each in zip(*files, strict=True)), args)

    ours = iou_and_accuracy(total)
    for each, iou in zip(TRAIN_LABELS, ours.iou.tolist(), strict=True):
        assert iou == pytest.approx(theirs["classScores"][each.name], nan_ok=True), each.name
    assert ours.iou[16] == 0 and math.isnan(ours.iou[17])
    assert 0.2 < ours.mean_iou < 0.8
    assert ours.mean_iou == pytest.approx(theirs["averageScoreClasses"])
