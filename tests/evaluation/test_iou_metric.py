import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmseg.datasets.class_names import CITYSCAPES_CLASSES
from mmseg.evaluation import IoUMetric, iou_metric
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample
from mmseg.utils import InputError

META = {"classes": ("road", "sky", "car"), "palette": [[1, 1, 1], [2, 2, 2], [3, 3, 3]]}


def sample(pred, label=None, img_path="a/one.jpg", **meta):
    result = SegDataSample(metainfo={"img_path": img_path, **meta})
    result.pred_sem_seg = PixelData(data=torch.tensor([pred], dtype=torch.uint8))
    if label is not None:
        result.gt_sem_seg = PixelData(data=torch.tensor([label], dtype=torch.uint8))
    return result


def evaluator(metric):
    result = Evaluator(metric)
    result.dataset_meta = META
    return result


def test_two_images_by_hand():
    metric = METRICS.build({"type": "IoUMetric", "iou_metrics": ["mIoU"]})
    run = evaluator(metric)
    run.process([sample([[0, 0], [1, 1]], [[0, 1], [1, 255]])])
    run.process([sample([[0, 2]], [[0, 0]])])
    # road: 2 of 4, sky: 1 of 2, car: predicted only
    scores = run.evaluate(2)
    means = {"aAcc": 60, "mIoU": 100 / 3, "mAcc": 100 * (2 / 3 + 1 / 2) / 2, "mIoU_gt": 50}
    assert scores == pytest.approx(means)
    rows = metric.result["per_class"]
    assert {name: row["IoU"] for name, row in rows.items()} == {"road": 50, "sky": 50, "car": 0}
    assert {name: row["Acc"] for name, row in rows.items()} == {
        "road": 66.6667,
        "sky": 50,
        "car": None,
    }
    assert "per_condition" not in metric.result


def test_a_second_evaluation_starts_from_zero():
    run = evaluator(IoUMetric())
    run.process([sample([[0]], [[1]])])
    assert run.evaluate(1)["mIoU"] == 0
    run.process([sample([[0]], [[0]])])
    assert run.evaluate(1)["mIoU"] == 100


def test_results_are_small_and_on_the_cpu():
    metric = IoUMetric()
    metric.dataset_meta = META
    metric.process(None, [sample([[0, 0]] * 50, [[0, 1]] * 50).to_dict()])
    ((matrix, condition),) = metric.results
    assert matrix.shape == (3, 3) and matrix.dtype == torch.int64 and matrix.device.type == "cpu"
    assert condition is None


def test_conditions_apart_and_together():
    metric = IoUMetric()
    run = evaluator(metric)
    run.process([sample([[0, 0]], [[0, 1]], condition="rain")])
    run.process([sample([[1, 1]], [[1, 1]], condition="fog")])
    run.process([sample([[0, 0]], [[0, 255]], condition="rain")])
    # rain: road 2 of 3, sky missed; fog: sky 2 of 2; over all: road 2 of 3, sky 2 of 3
    scores = run.evaluate(3)
    assert scores == pytest.approx(
        {
            "aAcc": 80,
            "mIoU": 200 / 3,
            "mAcc": (100 + 200 / 3) / 2,
            "mIoU_gt": 200 / 3,
            "fog/mIoU": 100,
            "rain/mIoU": 100 / 3,
        }
    )
    conditions = metric.result["per_condition"]
    assert list(conditions) == ["fog", "rain"]
    assert conditions["fog"]["per_class"]["road"] == {"IoU": None, "Acc": None}
    assert conditions["rain"] == {
        "summary": {"aAcc": 66.6667, "mIoU": 33.3333, "mAcc": 50.0, "mIoU_gt": 33.3333},
        "per_class": {
            "road": {"IoU": 66.6667, "Acc": 100.0},
            "sky": {"IoU": 0.0, "Acc": 0.0},
            "car": {"IoU": None, "Acc": None},
        },
    }
    assert metric.result["per_class"]["sky"] == {"IoU": 66.6667, "Acc": 66.6667}


def test_means_over_the_classes_of_synthia():
    metric = IoUMetric(iou_metrics=["mIoU", "mIoU16", "mIoU13"])
    run = Evaluator(metric)
    run.dataset_meta = {"classes": CITYSCAPES_CLASSES}
    # road 1 of 2; wall predicted only, truck right, train missed; nothing else is there
    truck, train, wall = (CITYSCAPES_CLASSES.index(name) for name in ("truck", "train", "wall"))
    run.process([sample([[0, wall, truck, 0]], [[0, 0, truck, train]])])
    assert run.evaluate(1) == pytest.approx(
        {
            "aAcc": 50,
            "mIoU": (100 / 3 + 0 + 100 + 0) / 4,
            "mAcc": (50 + 100 + 0) / 3,
            "mIoU_gt": (100 / 3 + 100 + 0) / 3,
            "mIoU16": (100 / 3 + 0) / 2,
            "mIoU13": 100 / 3,
        }
    )


def test_the_mean_over_chosen_classes():
    metric = IoUMetric(classes=["sky", "car"])
    run = evaluator(metric)
    run.process([sample([[0, 0, 1, 1]], [[0, 1, 1, 2]])])  # sky 1 of 3, car missed
    assert run.evaluate(1)["mIoU_chosen"] == pytest.approx(100 / 6)
    assert metric.result["class_subsets"] == {"mIoU_chosen": ["sky", "car"]}
    unknown = evaluator(IoUMetric(classes=["sky", "bus"]))
    with pytest.raises(InputError, match="no class 'bus': choose from 'road', 'sky', 'car'"):
        unknown.process([sample([[0]], [[0]])])


def test_means_over_absent_classes_are_refused_at_once():
    run = evaluator(IoUMetric(iou_metrics=["mIoU16"]))
    with pytest.raises(InputError, match="mIoU16 is the mean over 16 classes.*'sidewalk'"):
        run.process([sample([[0]], [[0]])])


def test_dice_and_fscore_by_hand():
    """Score 3 of 4 road pixels found, 1 of 2 sky pixels, and a car that is predicted but absent."""
    metric = IoUMetric(iou_metrics=["mIoU", "mDice", "mFscore"])
    run = evaluator(metric)
    run.process([sample([[0, 0, 0, 1, 1, 2]], [[0, 0, 0, 0, 1, 1]])])
    assert run.evaluate(1)["mDice"] == pytest.approx(100 * (6 / 7 + 1 / 2) / 3)
    per_class = metric.result["per_class"]
    names = ("Dice", "Fscore", "Precision", "Recall")
    assert {name: [row[key] for key in names] for name, row in per_class.items()} == {
        "road": [85.7143, 85.7143, 100.0, 75.0],  # 6 / 7
        "sky": [50.0, 50.0, 50.0, 50.0],
        "car": [0.0, None, 0.0, None],  # no F-score without a hit, so the mean leaves it out
    }
    summary = metric.result["summary"]
    assert {key: summary[key] for key in summary if key not in ("aAcc", "mIoU", "mAcc")} == {
        "mIoU_gt": 54.1667,  # (3 / 4 + 1 / 3) / 2
        "mDice": 45.2381,
        "mFscore": 67.8571,
        "mPrecision": 50.0,
        "mRecall": 62.5,
    }
    assert summary["mIoU"] == 36.1111  # 3/4, 1/3, 0: the same as without the other metrics


def test_padding_of_the_last_batch_is_not_counted():
    run = evaluator(IoUMetric())
    run.process([sample([[0]], [[0]]), sample([[0]], [[1]])])
    assert run.evaluate(1)["mIoU"] == 100


def test_nan_to_num_counts_in_the_means():
    run = evaluator(IoUMetric(nan_to_num=100))
    run.process([sample([[0]], [[1]])])
    assert run.evaluate(1) == pytest.approx({"aAcc": 0, "mIoU": 100 / 3, "mAcc": 200 / 3})


def test_no_labels_is_an_error_that_names_the_ways_out():
    run = evaluator(IoUMetric())
    with pytest.raises(InputError, match="no labels.*--format-only or --out"):
        run.process([sample([[0]])])


def test_a_resized_label_is_an_error_that_names_the_image():
    run = evaluator(IoUMetric())
    with pytest.raises(InputError, match=r"a/one.jpg.*LoadAnnotations must come after Resize"):
        run.process([sample([[0, 0]], [[0]])])


def test_a_label_outside_the_classes_names_the_image():
    run = evaluator(IoUMetric())
    with pytest.raises(InputError, match=r"a/one.jpg: label values run from 3 to 3"):
        run.process([sample([[0]], [[3]])])


@pytest.fixture
def slow_device(monkeypatch):
    """Treat predictions as if they were on a GPU."""
    monkeypatch.setattr(iou_metric, "_is_slow_to_fetch", lambda pred: True)


def test_matrices_are_fetched_late_from_a_slow_device(slow_device):
    metric = IoUMetric()
    run = evaluator(metric)
    for _ in range(2):  # the second evaluation starts at zero
        run.process([sample([[0, 0], [1, 1]], [[0, 1], [1, 255]]), sample([[0, 2]], [[0, 0]])])
        assert metric.results[1][0].shape == (5, 4)  # unchecked
        assert run.evaluate(2)["mIoU"] == pytest.approx(100 / 3)


def test_wrong_labels_on_a_slow_device_are_reported(slow_device):
    run = evaluator(IoUMetric())
    with pytest.raises(InputError, match=r"a/one.jpg: label values run from 3 to 3"):
        run.process([sample([[0]], [[3]])])
    run.process([sample([[0]], [[0]]), sample([[0]], [[3]], img_path="b/two.jpg")])
    with pytest.raises(InputError, match=r"b/two.jpg: 1 pixels of the label are neither ignored"):
        run.evaluate(2)


@pytest.mark.gpu
def test_scores_on_a_gpu():
    run = evaluator(IoUMetric())
    run.process([sample([[0, 0], [1, 1]], [[0, 1], [1, 255]]).to("cuda")])
    run.process([sample([[0, 2]], [[0, 0]]).to("cuda")])
    assert run.evaluate(2)["mIoU"] == pytest.approx(100 / 3)


def test_no_samples_and_no_classes_are_errors():
    with pytest.raises(InputError, match="gave no sample"):
        evaluator(IoUMetric()).evaluate(0)
    metric = IoUMetric()
    with pytest.raises(InputError, match="names no classes"):
        metric.process(None, [sample([[0]], [[0]]).to_dict()])


def test_unknown_metrics_list_the_choices():
    with pytest.raises(
        ValueError, match=r"\['mAP'\] unknown; choose from \['mIoU', 'mDice', 'mFscore', 'mIoU16', "
    ):
        IoUMetric(iou_metrics=["mAP"])
