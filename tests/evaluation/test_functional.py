import numpy as np
import pytest
import torch

from mmseg.evaluation import confusion_matrix, iou_and_accuracy
from mmseg.evaluation.functional import confusion_of, pair_counts


def test_confusion_matrix_by_hand():
    label = torch.tensor([[0, 0, 1], [2, 255, 1]], dtype=torch.uint8)
    pred = torch.tensor([[0, 1, 1], [0, 2, 1]], dtype=torch.uint8)
    matrix = confusion_matrix(pred, label, num_classes=3)
    assert matrix.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert matrix.dtype == torch.int64


def test_another_ignore_index_makes_255_an_error():
    pred, label = torch.zeros(1, 2, dtype=torch.int64), torch.tensor([[7, 0]])
    assert confusion_matrix(pred, label, 2, ignore_index=7).tolist() == [[1, 0], [0, 0]]
    with pytest.raises(ValueError, match=r"label values run from 0 to 255, classes from 0 to 1"):
        confusion_matrix(pred, torch.tensor([[255, 0]]), 2, ignore_index=7)


@pytest.mark.parametrize("value", [3, -1])
def test_a_prediction_outside_the_classes_is_an_error(value):
    with pytest.raises(ValueError, match="prediction values"):
        confusion_matrix(torch.tensor([[value]]), torch.tensor([[0]]), 3)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_counts_keep_ignored_pixels_and_other_values_apart(dtype):
    label = torch.tensor([[0, 1, 1, 255], [255, 2, 3, 254]], dtype=torch.uint8).to(dtype)
    pred = torch.tensor([[0, 0, 2, 1], [200, 1, 0, 0]], dtype=torch.uint8).to(dtype)
    counts = pair_counts(pred, label, 2)
    # rows: class 0, class 1, ignored, others; columns: class 0, class 1, others
    assert counts.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 1], [2, 1, 0]]
    with pytest.raises(ValueError, match="3 pixels of the label are neither ignored nor of a cla"):
        confusion_of(counts)
    counts[3] = 0
    with pytest.raises(ValueError, match="1 pixels of the prediction .* class from 0 to 1"):
        confusion_of(counts)
    counts[:2, 2] = 0  # ignored pixels may be predicted as anything
    assert confusion_of(counts).tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize("num_classes", [254, 255, 256])
def test_as_many_classes_as_a_byte_holds(num_classes):
    values = torch.arange(num_classes, dtype=torch.uint8)[None]
    matrix = confusion_matrix(values, values.int(), num_classes, ignore_index=-1)
    assert torch.equal(matrix, torch.eye(num_classes, dtype=torch.int64))
    with pytest.raises(ValueError, match="label values run"):
        confusion_matrix(values, values.int() + 1, num_classes, ignore_index=-1)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(2, 3\)"):
        confusion_matrix(torch.zeros(2, 2), torch.zeros(2, 3), 3)


def test_scores_by_hand_with_all_three_kinds_of_missing_class():
    # class 0: in both; 1: predicted, not in the ground truth; 2: in the ground truth, never
    # predicted; 3: in neither.
    confusion = torch.tensor([[6, 2, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    scores = iou_and_accuracy(confusion)
    nan = float("nan")
    np.testing.assert_allclose(scores.iou.numpy(), [6 / 9, 0, 0, nan])
    np.testing.assert_allclose(scores.acc.numpy(), [6 / 8, nan, 0, nan])
    assert scores.all_acc == pytest.approx(6 / 10)
    assert scores.mean_iou == pytest.approx(6 / 9 / 3)
    assert scores.mean_acc == pytest.approx(6 / 8 / 2)


def test_equals_pixel_sets_summed_over_images():
    rs = np.random.RandomState(0)
    pairs = []
    for _ in range(3):
        label = rs.randint(0, 5, (9, 11))  # class 5 only ever predicted, class 6 nowhere
        label[rs.rand(9, 11) < 0.2] = 255
        pairs.append((label, rs.randint(0, 6, (9, 11))))
    total = sum(
        confusion_matrix(torch.as_tensor(pred), torch.as_tensor(label), 7) for label, pred in pairs
    )
    ious = []
    for c in range(7):
        true, found = set(), set()
        for i, (label, pred) in enumerate(pairs):
            for y in range(9):
                for x in range(11):
                    if label[y, x] == 255:
                        continue
                    true |= {(i, y, x)} if label[y, x] == c else set()
                    found |= {(i, y, x)} if pred[y, x] == c else set()
        ious.append(len(true & found) / len(true | found) if true | found else float("nan"))
    scores = iou_and_accuracy(total)
    np.testing.assert_allclose(scores.iou.numpy(), ious, rtol=1e-12)
    assert ious[5] == 0 and np.isnan(ious[6])
    assert scores.mean_iou == pytest.approx(sum(ious[:6]) / 6)


def test_large_counts_stay_exact():
    confusion = torch.tensor([[2**33 + 1, 0], [1, 2**33]])
    assert iou_and_accuracy(confusion).iou[0].item() == (2**33 + 1) / (2**33 + 2)
