"""Hoyer et al., "HRDA", ECCV 2022: fusion of two scales by attention."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmseg.registry import MODELS
from mmseg.utils.setting_types import Fraction, InitConfig, PartConfig

from .decode_head import BaseDecodeHead
from .feature_select import resize

Box = tuple[int, int, int, int]


def scale_box(box: Box, factor: float) -> Box:
    """Divide (top, bottom, left, right) by a factor, rounding down."""
    top, bottom, left, right = (int(edge / factor) for edge in box)
    return top, bottom, left, right


def stride_of(box: Box, logits: Tensor) -> int:
    """Return the stride of logits (B, C, h, w) of a box; its sides need not be multiples of it."""
    return round((box[1] - box[0]) / logits.shape[2])


def crop(maps: Tensor, box: Box) -> Tensor:
    """Cut a box (top, bottom, left, right) out of maps (..., H, W), as a view."""
    top, bottom, left, right = box
    return maps[..., top:bottom, left:right]


@MODELS.register_module()
class HRDAHead(BaseModule):
    """One decoder for context and detail, and a second one for the attention between them.

    Args:
        head: config of the decoder of both scales.
        scale_attention: config of the decoder whose outputs, after a sigmoid, are the attention to
            the detail for each class.
        detail_loss_weight: lambda_d, weight of the loss of the detail alone; the loss of the fused
            prediction has the weight 1 - lambda_d.
        init_cfg: mmengine's initialisers.
    """

    def __init__(
        self,
        head: PartConfig,
        scale_attention: PartConfig,
        detail_loss_weight: Fraction = 0.1,
        init_cfg: InitConfig | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.head: BaseDecodeHead = MODELS.build(head)
        self.scale_attention: BaseDecodeHead = MODELS.build(scale_attention)
        self.detail_loss_weight = detail_loss_weight

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.head.num_classes

    def upsample(
        self, seg_logits: Tensor, size: Sequence[int], rows: slice | None = None
    ) -> Tensor:
        """Resize logits, see :meth:`BaseDecodeHead.upsample`."""
        return self.head.upsample(seg_logits, size, rows)

    def attention(self, context: list[Tensor]) -> Tensor:
        """Compute the attention to the detail (B, C, h, w), in (0, 1), from the context's maps."""
        return self.scale_attention(context).sigmoid()

    @staticmethod
    def fuse(context: Tensor, attention: Tensor, detail: Tensor) -> Tensor:
        """Fuse the logits of both scales.

        Args:
            context: (B, C, h, w).
            attention: (B, C, h, w).
            detail: (B, C, H, W), logits of the whole image, 0 where there are none.

        Returns:
            (B, C, H, W).
        """
        size = detail.shape[2:]
        return resize(attention, size) * detail + resize((1 - attention) * context, size)

    @staticmethod
    def place(
        attention: Tensor, detail: Tensor, box: Box, size: tuple[int, int], context_scale: float
    ) -> tuple[Tensor, Tensor]:
        """Set attention to 0 outside a box, and put the detail of the box into zeros.

        Args:
            attention: (B, C, h, w) of the whole image.
            detail: (B, C, h', w') of the box.
            box: (top, bottom, left, right) in pixels of the image.
            size: (height, width) of the image.
            context_scale: scale of the image that the attention is computed from.

        Returns:
            Attention (B, C, h, w) and detail (B, C, H, W) of the whole image.
        """
        stride = stride_of(box, detail)
        inside = torch.zeros_like(attention[:1, :1])
        crop(inside, scale_box(box, stride / context_scale)).fill_(1)
        top, _, left, _ = scale_box(box, stride)
        bottom = size[0] // stride - top - detail.shape[2]
        right = size[1] // stride - left - detail.shape[3]
        return attention * inside, F.pad(detail, (left, right, top, bottom))

    def losses(
        self,
        fused: Tensor,
        detail: Tensor,
        box: Box,
        label: Tensor,
        weight: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Compute the weighted losses of the fused logits and of the detail alone.

        Args:
            fused: (B, C, h, w).
            detail: (B, C, h', w').
            box: part of the label that the detail is of.
            label: (B, H, W) or (B, 1, H, W), any integer dtype.
            weight: (B, H, W), factor of each pixel's loss.

        Returns:
            ``loss_seg``, ``acc_seg``, ``hr.loss_seg`` and ``hr.acc_seg``.
        """
        detail_weight = None if weight is None else crop(weight, box)
        parts = {
            "": (1 - self.detail_loss_weight, self.head.loss_by_feat(fused, label, weight)),
            "hr.": (
                self.detail_loss_weight,
                self.head.loss_by_feat(detail, crop(label, box), detail_weight),
            ),
        }
        return {
            f"{prefix}{name}": value * factor if "loss" in name else value
            for prefix, (factor, values) in parts.items()
            for name, value in values.items()
        }
