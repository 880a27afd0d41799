import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from PIL import Image

from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample
from mmseg.utils import InputError

META = {"classes": ("road", "sky", "car"), "palette": [[1, 1, 1], [2, 2, 2], [3, 3, 3]]}


def sample(pred, label=None, img_path="a/one.jpg"):
    result = SegDataSample(metainfo={"img_path": img_path})
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
    assert scores == pytest.approx({"aAcc": 60, "mIoU": 100 / 3, "mAcc": 100 * (2 / 3 + 1 / 2) / 2})
    assert [row["class"] for row in metric.per_class] == ["road", "sky", "car"]
    assert [row["IoU"] for row in metric.per_class] == pytest.approx([50, 50, 0])
    assert metric.per_class[2]["Acc"] != metric.per_class[2]["Acc"]  # nan


def test_a_second_evaluation_starts_afresh():
    run = evaluator(IoUMetric())
    run.process([sample([[0]], [[1]])])
    assert run.evaluate(1)["mIoU"] == 0
    run.process([sample([[0]], [[0]])])
    assert run.evaluate(1)["mIoU"] == 100


def test_results_are_small_and_on_the_cpu():
    metric = IoUMetric()
    metric.dataset_meta = META
    metric.process(None, [sample([[0, 0]] * 50, [[0, 1]] * 50).to_dict()])
    assert [tuple(each.shape) for each in metric.results] == [(3, 3)]
    assert metric.results[0].dtype == torch.int64 and metric.results[0].device.type == "cpu"


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


def test_no_samples_and_no_classes_are_errors():
    with pytest.raises(InputError, match="gave no sample"):
        evaluator(IoUMetric()).evaluate(0)
    metric = IoUMetric()
    with pytest.raises(InputError, match="names no classes"):
        metric.process(None, [sample([[0]], [[0]]).to_dict()])


def test_unknown_metrics_list_the_choices():
    with pytest.raises(ValueError, match=r"\['mDice'\] unknown; choose from \['mIoU'\]"):
        IoUMetric(iou_metrics=["mDice"])


def test_format_only_writes_train_ids_and_scores_nothing(tmp_path):
    run = evaluator(IoUMetric(output_dir=str(tmp_path / "out"), format_only=True))
    run.process([sample([[0, 2]])])
    assert run.evaluate(1) == {}
    with Image.open(tmp_path / "out" / "one.png") as image:
        assert image.mode == "L" and list(image.getdata()) == [0, 2]
    with pytest.raises(ValueError, match="needs output_dir"):
        IoUMetric(format_only=True)
