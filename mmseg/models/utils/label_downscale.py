"""Downscaling of labels to the resolution of a feature map."""

from collections.abc import Sequence

import torch
from torch import Tensor


def downscale_label(
    label: Tensor,
    size: Sequence[int],
    min_ratio: float,
    num_classes: int,
    ignore_index: int = 255,
) -> Tensor:
    """Give each k x k cell the class that fills at least ``min_ratio`` of it, or ignore it.

    k is the label's width over the feature map's, rounded down. Ignored pixels count as a separate
    class: a cell that they dominate is ignored. k = 1 leaves the label unchanged.

    Args:
        label: (B, H, W) integer class ids or ``ignore_index``.
        size: (h, w) of the features.
        min_ratio: share of a cell, in (0.5, 1] for the outcome to be unique.
        num_classes: number of classes C.

    Returns:
        (B, h, w) long.

    Raises:
        ValueError: if the label is smaller than the features, or its cells do not tile them.
    """
    batch, height, width = label.shape
    factor = width // size[1]
    if factor < 1 or (height // factor, width // factor) != tuple(size):
        raise ValueError(f"a {height}x{width} label does not scale down to {tuple(size)} features")
    label = label.long()
    if factor == 1:
        return label
    h, w = size
    channel = label.masked_fill(label == ignore_index, num_classes)
    cells = channel[:, : h * factor, : w * factor].reshape(batch, h, factor, w, factor)
    cells = cells.permute(0, 1, 3, 2, 4).reshape(batch * h * w, factor * factor)
    # Count the pixels of each class in each cell, int32.
    count = torch.zeros(len(cells), num_classes + 1, dtype=torch.int32, device=label.device)
    count.scatter_add_(1, cells, torch.ones_like(cells, dtype=torch.int32))
    largest, winner = count.max(1)
    kept = (winner < num_classes) & (largest >= min_ratio * factor * factor)
    return winner.masked_fill(~kept, ignore_index).view(batch, h, w)
