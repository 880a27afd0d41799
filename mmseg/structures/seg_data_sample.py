"""Annotations and predictions of one image."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor


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

    #: Ground truth; ``.data`` is (1, H, W) uint8.
    gt_sem_seg: PixelData
    #: Predicted classes; ``.data`` is (1, H, W) uint8.
    pred_sem_seg: PixelData
    #: Logits; ``.data`` is (C, H, W) float.
    seg_logits: PixelData
    #: Probability of the prediction; ``.data`` is (1, H, W) float32 in [0, 1].
    seg_confidence: PixelData

    def set_field(self, value: Any, name: str, dtype: Any = None, field_type: str = "data") -> None:
        """Check the type of a map; mmengine calls this for every assignment."""
        if name in SegDataSample.__annotations__:
            dtype = PixelData
        super().set_field(value, name, dtype, field_type)

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
