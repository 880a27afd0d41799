"""Intersection over union as pure functions. C: number of classes, (H, W): image size."""

from typing import NamedTuple

import torch
from torch import Tensor


class ClassScores(NamedTuple):
    """Shares in [0, 1], float64; what cannot be said is ``nan``.

    Attributes:
        iou: (C,) intersection over union; ``nan`` where neither ground truth nor prediction has
            the class, 0 where only the prediction has it.
        acc: (C,) share of the class's ground truth that was found; ``nan`` without ground truth.
        all_acc: share of all labelled pixels that are right.
    """

    iou: Tensor
    acc: Tensor
    all_acc: float

    @property
    def mean_iou(self) -> float:
        """Mean of ``iou`` over what is not ``nan``."""
        return mean_of_known(self.iou)

    @property
    def mean_acc(self) -> float:
        """Mean of ``acc`` over what is not ``nan``."""
        return mean_of_known(self.acc)


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
        ValueError: the shapes differ or a value is not a class.
    """
    if pred.shape != label.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and label {tuple(label.shape)} differ")
    label = label.to(pred.device)
    valid = label != ignore_index
    true, found = label[valid].long(), pred[valid].long()
    for name, values in (("label", true), ("prediction", found)):
        if values.numel() and not (values.min() >= 0 and values.max() < num_classes):
            raise ValueError(
                f"{name} values run from {int(values.min())} to {int(values.max())}, "
                f"classes from 0 to {num_classes - 1} (ignore_index is {ignore_index})"
            )
    counts = torch.bincount(true * num_classes + found, minlength=num_classes**2)
    return counts.view(num_classes, num_classes)


def iou_and_accuracy(confusion: Tensor) -> ClassScores:
    """Per-class and mean scores of a confusion matrix that is summed over the data set.

    Args:
        confusion: (C, C) counts; rows are the ground truth, columns the prediction.
    """
    confusion = confusion.double()
    hit = confusion.diagonal()
    in_label, in_pred = confusion.sum(1), confusion.sum(0)
    iou = hit / (in_label + in_pred - hit)  # 0 / 0 = nan: the union is empty
    acc = hit / in_label
    return ClassScores(iou=iou, acc=acc, all_acc=(hit.sum() / confusion.sum()).item())


def mean_of_known(values: Tensor) -> float:
    """The mean over what is not ``nan``; ``nan`` if there is nothing else.

    Args:
        values: (C,) floats.
    """
    return torch.nanmean(values).item()
