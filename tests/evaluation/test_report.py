import json

import pytest
import torch

from mmseg.datasets.class_names import CITYSCAPES_CLASSES, CLASS_SUBSETS
from mmseg.evaluation import (
    ClassScores,
    iou_and_accuracy,
    per_class_table,
    result_dict,
    side_by_side,
)
from tests.golden import load_golden

CLASSES = ("road", "sky", "traffic light")


def result(confusion, subsets=None):
    return result_dict(iou_and_accuracy(torch.tensor(confusion)), CLASSES, subsets)


FIRST = result([[1, 1, 0], [1, 1, 0], [0, 0, 0]])  # IoU 33.33, 33.33, nowhere
LAST = result([[3, 0, 0], [0, 2, 2], [0, 0, 0]])  # IoU 100, 50, predicted only


def published_rows(data_set):
    """Return the IoU and Acc in percent that the authors' release reports, and their means."""
    published = load_golden("published_per_class.json")[data_set]
    assert tuple(published["per_class"]) == CITYSCAPES_CLASSES
    return published["per_class"], published["summary"]


def scores_of(per_class, all_acc):
    def shares(name):
        values = [row.get(name) for row in per_class.values()]
        known = [float("nan") if value is None else value / 100 for value in values]
        return torch.tensor(known, dtype=torch.float64)

    return ClassScores(shares("IoU"), shares("Acc"), all_acc)


@pytest.mark.parametrize(
    "data_set, miou, absent",
    [
        ("dark_zurich_test", 54.21, None),
        ("nighttime_driving_test", 56.90, ["terrain", "motorcycle"]),
        ("bdd100k_night", 40.56, ["train"]),
    ],
)
def test_published_rows_give_the_published_means(data_set, miou, absent):
    """Classes that are predicted but absent count with IoU 0 and not at all in mAcc."""
    rows, summary = published_rows(data_set)
    assert summary["mIoU"] == miou
    result = result_dict(
        scores_of(rows, summary.get("aAcc", float("nan")) / 100), CITYSCAPES_CLASSES
    )
    assert result["summary"]["mIoU"] == pytest.approx(miou, abs=0.006)
    lost = [name for name, row in result["per_class"].items() if row["Acc"] is None]
    if absent is None:  # no accuracies are published
        assert lost == list(CITYSCAPES_CLASSES) and result["summary"]["mAcc"] is None
    else:
        assert lost == absent
        assert all(result["per_class"][name]["IoU"] == 0 for name in absent)
        assert result["summary"]["mAcc"] == pytest.approx(summary["mAcc"], abs=0.006)
        assert result["summary"]["aAcc"] == summary["aAcc"]
        # The mean over the classes that the images have is higher.
        gt = result["summary"]["mIoU_gt"]
        assert gt == pytest.approx(miou * 19 / (19 - len(absent)), abs=0.006)
    lines = per_class_table(result).splitlines()
    assert f"mIoU       {miou:.2f}" in lines
    cells = [f"{value:.2f}" for value in rows["road"].values()]
    assert lines[2].split() == ["road", *cells, "-"][:3]


def test_result_is_json_with_null_for_what_is_left_out():
    assert json.loads(json.dumps(LAST, allow_nan=False)) == {
        "summary": {"aAcc": 71.4286, "mIoU": 50.0, "mAcc": 75.0, "mIoU_gt": 75.0},
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
        "mIoU_gt    75.00",
    ]


def test_means_over_class_subsets():
    confusion = [[3, 0, 0], [0, 2, 2], [0, 0, 0]]
    some = result(confusion, {"mIoU2": ("sky", "traffic light"), "mIoU1": ("road",)})
    assert some["summary"] == LAST["summary"] | {"mIoU2": 25.0, "mIoU1": 100.0}
    assert some["class_subsets"] == {"mIoU2": ["sky", "traffic light"], "mIoU1": ["road"]}
    assert per_class_table(some).splitlines()[-5:] == [
        "mIoU2      25.00",
        "mIoU1     100.00",
        "",
        "mIoU2: mean of 2 classes, without road",
        "mIoU1: mean of 1 classes, without sky, traffic light",
    ]


def test_absent_classes_are_left_out_of_subset_means():
    some = result([[1, 1, 0], [0, 0, 0], [0, 0, 0]], {"mIoU2": ("road", "traffic light")})
    assert some["summary"]["mIoU2"] == 50.0  # sky is predicted only, traffic light nowhere
    assert some["summary"]["mIoU"] == 25.0


def test_synthia_means_of_published_rows():
    """The means over 16 and 13 classes are those of the published rows without the others."""
    rows, _ = published_rows("dark_zurich_test")
    summary = result_dict(scores_of(rows, 0.5), CITYSCAPES_CLASSES, CLASS_SUBSETS)["summary"]
    total = sum(row["IoU"] for row in rows.values())
    total -= 31.0 + 52.23 + 83.77  # terrain, truck, train
    assert summary["mIoU16"] == pytest.approx(total / 16, abs=1e-4)
    total -= 32.82 + 16.27 + 54.58  # wall, fence, pole
    assert summary["mIoU13"] == pytest.approx(total / 13, abs=1e-4)


def test_conditions_have_a_separate_table():
    both = LAST | {"per_condition": {"fog": FIRST, "night": LAST}}
    lines = per_class_table(both).splitlines()
    assert lines[lines.index("IoU per condition") :] == [
        "IoU per condition",
        "",
        "class            fog   night     all",
        "------------------------------------",
        "road           33.33  100.00  100.00",
        "sky            33.33   50.00   50.00",
        "traffic light      -    0.00    0.00",
        "------------------------------------",
        "aAcc           50.00   71.43   71.43",
        "mIoU           33.33   50.00   50.00",
        "mAcc           50.00   75.00   75.00",
        "mIoU_gt        33.33   75.00   75.00",
    ]


def test_side_by_side_lists_every_class_and_mean():
    other = result_dict(iou_and_accuracy(torch.tensor([[1]])), ["road"], {"mIoU1": ["road"]})
    assert side_by_side({"a": LAST, "b": other}).splitlines() == [
        "class               a       b",
        "-----------------------------",
        "road           100.00  100.00",
        "sky             50.00       -",
        "traffic light    0.00       -",
        "-----------------------------",
        "aAcc            71.43  100.00",
        "mIoU            50.00  100.00",
        "mAcc            75.00  100.00",
        "mIoU_gt         75.00       -",
        "mIoU1               -  100.00",
    ]
