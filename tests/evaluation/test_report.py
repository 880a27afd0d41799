import json

import torch

from mmseg.evaluation import (
    comparison_table,
    iou_and_accuracy,
    per_class_scores,
    per_class_table,
    result_dict,
)

CLASSES = ("road", "sky", "traffic light")


def result(confusion):
    scores = iou_and_accuracy(torch.tensor(confusion))
    metrics = {"aAcc": scores.all_acc, "mIoU": scores.mean_iou, "mAcc": scores.mean_acc}
    metrics = {name: 100 * value for name, value in metrics.items()}
    return result_dict(metrics, per_class_scores(scores, CLASSES))


FIRST = result([[1, 1, 0], [1, 1, 0], [0, 0, 0]])  # IoU 33.33, 33.33, nowhere
LAST = result([[3, 0, 0], [0, 2, 2], [0, 0, 0]])  # IoU 100, 50, predicted only


def test_result_is_json_with_null_for_what_is_left_out():
    assert json.loads(json.dumps(LAST, allow_nan=False)) == {
        "summary": {"aAcc": 71.4286, "mIoU": 50.0, "mAcc": 75.0},
        "per_class": {
            "road": {"IoU": 100.0, "Acc": 100.0},
            "sky": {"IoU": 50.0, "Acc": 50.0},
            "traffic light": {"IoU": 0.0, "Acc": None},
        },
    }


def test_per_class_table():
    assert per_class_table(LAST).splitlines() == [
        "class             IoU     Acc",
        "-----------------------------",
        "road           100.00  100.00",
        "sky             50.00   50.00",
        "traffic light    0.00       -",
        "",
        "summary  percent",
        "----------------",
        "aAcc       71.43",
        "mIoU       50.00",
        "mAcc       75.00",
    ]


def test_comparison_table():
    assert comparison_table({"source only": FIRST, "SePiCo": LAST}, CLASSES).splitlines() == [
        "class          source only  SePiCo  difference",
        "----------------------------------------------",
        "road                 33.33  100.00      +66.67",
        "sky                  33.33   50.00      +16.67",
        "traffic light            -    0.00           -",
        "----------------------------------------------",
        "mIoU                 33.33   50.00      +16.67",
    ]


def test_comparison_of_one_has_no_difference():
    assert comparison_table({"SePiCo": LAST}, CLASSES).splitlines()[-1] == "mIoU            50.00"
