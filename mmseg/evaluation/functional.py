"""Intersection over union and other scores. C: number of classes, (H, W): image size."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor


class ClassScores(NamedTuple):
    """Scores in [0, 1], float64; undefined ones are ``nan``.

    Attributes:
        iou: (C,) intersection over union; ``nan`` if neither ground truth nor prediction contain
            the class, 0 if only the prediction does.
        acc: (C,) share of the class's ground truth that is predicted; ``nan`` without ground truth.
        all_acc: share of all labelled pixels that are predicted correctly.
        others: name -> other scores (C,), see :func:`dice_and_fscore`.
    """

    iou: Tensor
    acc: Tensor
    all_acc: float
    others: Mapping[str, Tensor] = MappingProxyType({})

    @property
    def mean_iou(self) -> float:
        """Mean of ``iou`` without ``nan``."""
        return self.iou.nanmean().item()

    @property
    def mean_acc(self) -> float:
        """Mean of ``acc`` without ``nan``."""
        return self.acc.nanmean().item()


def confusion_matrix(
    pred: Tensor, label: Tensor, num_classes: int, ignore_index: int = 255
) -> Tensor:
    """Count the pixels of every (true class, predicted class).

    Args:
        pred: (H, W) integers in [0, C).
        label: (H, W) integers in [0, C) or ``ignore_index``; such pixels are not counted.
        num_classes: C.
        ignore_index: the label value of pixels without ground truth.

    Returns:
        (C, C) int64 on the device of ``pred``; rows are the ground truth, columns the prediction.

    Raises:
        ValueError: if the shapes differ or a value is not a class.
    """
    counts = pair_counts(pred, label, num_classes, ignore_index)
    try:
        return confusion_of(counts)
    except ValueError as error:
        valid = label != ignore_index
        true, found = label[valid], pred[valid.to(pred.device)]
        outside = true if true.min() < 0 or true.max() >= num_classes else found
        name = "label" if outside is true else "prediction"
        raise ValueError(
            f"{name} values run from {int(outside.min())} to {int(outside.max())}, "
            f"classes from 0 to {num_classes - 1} (ignore_index is {ignore_index})"
        ) from error


def pair_counts(pred: Tensor, label: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """Count the pixels of every (true class, predicted class), and those of other values.

    On a GPU this does not synchronise, not even to check that the values are classes. For the
    arguments see :func:`confusion_matrix`.

    Returns:
        (C + 2, C + 1) int64 on the device of ``pred``. Row C counts the ignored pixels, row C + 1
        and column C those whose values are not classes.

    Raises:
        ValueError: if the shapes differ.
    """
    if pred.shape != label.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and label {tuple(label.shape)} differ")
    label = label.to(pred.device, non_blocking=True)
    # The counts need C + 2 values; uint8 is the fastest type.
    true, found = (
        values if values.dtype == torch.uint8 and num_classes < 255 else values.int()
        for values in (label, pred)
    )
    true = true.masked_fill((true < 0) | (true >= num_classes), num_classes + 1)
    true.masked_fill_(label == ignore_index, num_classes)
    found = found.masked_fill((found < 0) | (found >= num_classes), num_classes)
    pairs = true.long() * (num_classes + 1) + found
    # bincount would synchronise with a GPU. Rows are counted separately, as otherwise all pixels
    # would compete for a few counters.
    size = (num_classes + 2, num_classes + 1)
    counts = torch.zeros(len(pairs), size[0] * size[1], dtype=torch.int32, device=pred.device)
    ones = torch.ones_like(pairs, dtype=torch.int32)
    return counts.scatter_add_(1, pairs, ones).sum(0).view(size)


def confusion_of(counts: Tensor) -> Tensor:
    """Return the confusion matrix (C, C) in ``counts`` of :func:`pair_counts`.

    Raises:
        ValueError: if a value of a pixel that is not ignored is not a class.
    """
    num_classes = counts.shape[1] - 1
    wrong_label = int(counts[num_classes + 1].sum())
    wrong = wrong_label or int(counts[:num_classes, num_classes].sum())
    if wrong:
        name = "label" if wrong_label else "prediction"
        raise ValueError(
            f"{wrong} pixels of the {name} are neither ignored nor of a class from 0 to "
            f"{num_classes - 1}"
        )
    return counts[:num_classes, :num_classes]


def iou_and_accuracy(confusion: Tensor) -> ClassScores:
    """Compute per-class and mean scores of a confusion matrix that is summed over the data set.

    Args:
        confusion: (C, C) counts; rows are the ground truth, columns the prediction.
    """
    confusion = confusion.double()
    hit = confusion.diagonal()
    in_label, in_pred = confusion.sum(1), confusion.sum(0)
    iou = hit / (in_label + in_pred - hit)  # 0 / 0 = nan: the union is empty
    acc = hit / in_label
    return ClassScores(iou=iou, acc=acc, all_acc=(hit.sum() / confusion.sum()).item())


def dice_and_fscore(confusion: Tensor) -> dict[str, Tensor]:
    """Compute other scores than IoU, under the names of mmsegmentation.

    Args:
        confusion: (C, C) counts; rows are the ground truth, columns the prediction.

    Returns:
        ``Dice``, ``Fscore``, ``Precision`` and ``Recall``, (C,) float64 each; ``nan`` for 0 / 0. A
        class without correct pixels has no ``Fscore`` (precision and recall are 0 or undefined) and
        is left out of the mean, as in mmsegmentation; its ``Dice`` is 0 unless it does not occur.
    """
    confusion = confusion.double()
    hit = confusion.diagonal()
    in_label, in_pred = confusion.sum(1), confusion.sum(0)
    precision, recall = hit / in_pred, hit / in_label
    return {
        "Dice": 2 * hit / (in_label + in_pred),
        "Fscore": 2 * precision * recall / (precision + recall),
        "Precision": precision,
        "Recall": recall,
    }
