"""Preprocessor that turns the uint8 images of a data loader into a normalised batch."""

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmengine.structures import PixelData
from pydantic import Field, PositiveFloat
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import InputError
from mmseg.utils.setting_types import LabelValue, Size2d


@MODELS.register_module()
class SegDataPreProcessor(BaseDataPreprocessor):
    """Move a batch to the device as uint8, then stack, normalise and pad it there.

    Padding comes after normalising and only at the bottom and the right, so ``pad_val`` is a
    value of the *normalised* image: 0 is the mean colour.

    Args:
        mean: per channel, in 0..255, in the channel order after ``bgr_to_rgb``.
        std: standard deviation, as ``mean``.
        bgr_to_rgb: whether to reverse the channels first.
        size: (height, width) that smaller training images are padded to; None: no padding.
        pad_val: value of padded image pixels.
        seg_pad_val: value of padded label pixels.
        non_blocking: whether the copy to the device may overlap with the host (pinned memory).
    """

    def __init__(
        self,
        mean: Annotated[Sequence[float], Field(min_length=1)],
        std: Annotated[Sequence[PositiveFloat], Field(min_length=1)],
        bgr_to_rgb: bool = True,
        size: Size2d | None = None,
        pad_val: float = 0,
        seg_pad_val: LabelValue = 255,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        if len(mean) != len(std):
            raise ValueError(f"mean and std must be equally long, got {len(mean)} and {len(std)}")
        self.bgr_to_rgb = bgr_to_rgb
        self.size: tuple[int, int] | None = None if size is None else (size[0], size[1])
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val
        # Settings, not weights: they stay out of checkpoints.
        self.register_buffer("mean", torch.tensor(mean).float().view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).float().view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess one collated batch.

        Args:
            data: ``inputs``: list of B uint8 images (3, h, w) or one tensor (B, 3, h, w);
                ``data_samples`` (optional): list of B :class:`SegDataSample`.
            training: whether to pad images *and* labels to ``size``; all must have one size then.
                At test time nothing is padded, and each sample stores its size as ``img_shape``.

        Returns:
            ``inputs``: (B, 3, H, W) float on the device, or at test time, if the sizes differ, a
            list of B images (3, H, W); ``data_samples``: list or None.

        Raises:
            InputError: if the images of a training batch differ in size.
        """
        data = self.cast_data(data)
        images, samples = data["inputs"], data.get("data_samples")
        shapes = [tuple(image.shape[-2:]) for image in images]
        shape = self._training_shape(shapes, samples) if training else None
        inputs: Tensor | list[Tensor]
        if len(set(shapes)) == 1:
            batch = images if isinstance(images, Tensor) else torch.stack(images)
            inputs = self._pad(self.normalise(batch), shape or shapes[0], self.pad_val)
        else:
            inputs = [self.normalise(image) for image in images]
            if shape is not None:
                inputs = torch.stack([self._pad(each, shape, self.pad_val) for each in inputs])
        if samples is not None:
            for sample, own_shape in zip(samples, shapes, strict=True):
                if shape is None:
                    sample.set_metainfo({"img_shape": own_shape})
                elif "gt_sem_seg" in sample and own_shape != shape:
                    label = self._pad(sample.gt_sem_seg.data, shape, self.seg_pad_val)
                    sample.gt_sem_seg = PixelData(data=label)
        return {"inputs": inputs, "data_samples": samples}

    def normalise(self, images: Tensor) -> Tensor:
        """Normalise uint8 images (..., 3, H, W) to float ones of zero mean and unit deviation."""
        if self.bgr_to_rgb:
            images = images.flip(-3)
        # In place, on a copy: floats take four times the memory of the image.
        return images.to(self.mean.dtype, copy=True).sub_(self.mean).div_(self.std)

    def _training_shape(
        self, shapes: list[tuple[int, int]], samples: list[SegDataSample] | None
    ) -> tuple[int, int]:
        """Return the size (height, width) of all images of a training batch after padding."""
        floor = self.size or (0, 0)
        padded = [(max(h, floor[0]), max(w, floor[1])) for h, w in shapes]
        for index, shape in enumerate(padded):
            if shape != padded[0]:
                first, other = (
                    samples[i].metainfo.get("img_path", f"image {i}") if samples else f"image {i}"
                    for i in (0, index)
                )
                raise InputError(
                    "the images of a training batch must have one size, but "
                    f"{first} has {shapes[0][0]}x{shapes[0][1]} and "
                    f"{other} has {shapes[index][0]}x{shapes[index][1]} (height x width): "
                    "crop them in the pipeline, or let the preprocessor pad them with `size`"
                )
        return padded[0]

    @staticmethod
    def _pad(images: Tensor, shape: tuple[int, int], value: float) -> Tensor:
        bottom, right = shape[0] - images.shape[-2], shape[1] - images.shape[-1]
        if bottom == 0 and right == 0:
            return images
        return F.pad(images, (0, right, 0, bottom), value=value)
