"""Cross-entropy loss over pixels."""

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from mmseg.registry import MODELS
from mmseg.utils.setting_types import ClassFactors

from ..utils.precision import without_autocast


def pixel_cross_entropy(
    logits: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    class_weight: Tensor | None = None,
    ignore_index: int = 255,
) -> Tensor:
    """Average the cross-entropy over *all* pixels; ignored ones count with a loss of 0.

    It is computed in float32 or higher precision, also under autocast.

    Args:
        logits: (B, C, H, W).
        label: (B, H, W), classes 0..C-1 or ``ignore_index``, any integer dtype.
        weight: (B, H, W), factor of each pixel.
        class_weight: (C,), factor of each class.
        ignore_index: label of pixels without a loss.

    Returns:
        Scalar tensor.
    """
    with without_autocast(logits):
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if class_weight is not None:
            class_weight = class_weight.to(logits.dtype)
        loss = F.cross_entropy(
            logits,
            label.long(),
            weight=class_weight,
            ignore_index=ignore_index,
            reduction="none",
        )
        if weight is not None:
            loss = loss * weight
        return loss.mean()


@MODELS.register_module()
class CrossEntropyLoss(nn.Module):
    """Cross-entropy loss with its settings, see :func:`pixel_cross_entropy`.

    Args:
        loss_weight: factor of the loss.
        class_weight: factor of each class; None: 1 for all.
    """

    class_weight: Tensor | None

    def __init__(
        self, loss_weight: NonNegativeFloat = 1.0, class_weight: ClassFactors | None = None
    ) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        values = None if class_weight is None else torch.as_tensor(class_weight).float()
        # A setting, not a weight: checkpoints do not contain it.
        self.register_buffer("class_weight", values, persistent=False)

    def forward(
        self,
        pred: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Compute the loss of logits (B, C, H, W) for labels (B, H, W)."""
        loss = pixel_cross_entropy(pred, label, weight, self.class_weight, ignore_index)
        return self.loss_weight * loss
