"""Annotations and predictions of one image."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor


def _pixel_field(name: str, doc: str) -> property:
    """Make a property that accepts only :class:`PixelData`, stored in the field ``_<name>``."""
    field = f"_{name}"

    def getter(self: BaseDataElement) -> PixelData:
        return getattr(self, field)

    def setter(self: BaseDataElement, value: PixelData) -> None:
        self.set_field(value, field, dtype=PixelData)

    def deleter(self: BaseDataElement) -> None:
        delattr(self, field)

    return property(getter, setter, deleter, doc)


class SegDataSample(BaseDataElement):
    """Label, prediction and metainfo of one image.

    The metainfo holds ``img_path``, ``seg_map_path`` (only if a label was read), ``ori_shape`` and
    ``img_shape`` (height, width), ``scale_factor``, ``flip``, ``flip_direction``, and entries of
    the data set: ``condition``, ``use_class_weight``.

    Example:
        >>> sample = SegDataSample(metainfo=dict(img_shape=(4, 4)))
        >>> sample.gt_sem_seg = PixelData(data=torch.zeros(1, 4, 4, dtype=torch.uint8))
        >>> "gt_sem_seg" in sample
        True
    """

    gt_sem_seg = _pixel_field("gt_sem_seg", "Ground truth; ``.data`` is (1, H, W) uint8.")
    pred_sem_seg = _pixel_field("pred_sem_seg", "Predicted classes; ``.data`` is (1, H, W) uint8.")
    seg_logits = _pixel_field("seg_logits", "Logits; ``.data`` is (C, H, W) float.")
    seg_confidence = _pixel_field(
        "seg_confidence", "Probability of the prediction; ``.data`` is (1, H, W) float32 in [0, 1]."
    )

    def pin_memory(self) -> "SegDataSample":
        """Copy the sample to page-locked memory, for asynchronous copies to a GPU.

        ``DataLoader(pin_memory=True)`` calls this; without it, labels would not be pinned.
        """
        sample = self.new()
        for name, field in self.items():
            if isinstance(field, PixelData):
                field = field.new(**{key: _pinned(value) for key, value in field.items()})
            setattr(sample, name, _pinned(field))
        return sample


def _pinned(value: Any) -> Any:
    return value.pin_memory() if isinstance(value, Tensor) else value


def stack_labels(data_samples: Sequence[SegDataSample]) -> Tensor:
    """Stack the ground truth of a batch whose labels have one size.

    Returns:
        (B, 1, H, W), in the dtype and on the device of the labels (uint8 as loaded).
    """
    return torch.stack([sample.gt_sem_seg.data for sample in data_samples])
