"""Pixel accuracy."""

import torch
from torch import Tensor


@torch.no_grad()
def pixel_accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Compute the percentage of pixels, ignored ones included, whose arg-max equals the label.

    Args:
        logits: (B, C, H, W).
        label: (B, H, W), any integer dtype.

    Returns:
        Scalar float32 tensor in 0..100, on the device of the logits.
    """
    return (logits.argmax(dim=1) == label).float().mean() * 100
