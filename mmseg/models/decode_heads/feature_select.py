"""Which of a backbone's maps a head reads, and how it joins them."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

InputTransform = Literal["resize_concat", "multiple_select"]


def resize(maps: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Resize (B, C, h, w) bilinearly to ``size`` (H, W); the same size passes through."""
    size = tuple(size)
    if tuple(maps.shape[2:]) == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=align_corners)


def resize_rows(
    maps: Tensor, size: Sequence[int], rows: slice, align_corners: bool = False
) -> Tensor:
    """Compute some rows of :func:`resize`; they differ from those of the whole by rounding.

    Args:
        maps: (B, C, h, w) float32.
        size: (H, W) of the whole.
        rows: R of the H rows.

    Returns:
        (B, C, R, W).
    """
    height, (full_height, full_width) = maps.shape[2], size
    if height != full_height:
        ratio = (height - 1) / max(full_height - 1, 1) if align_corners else height / full_height
        ratio = torch.tensor(ratio, dtype=torch.float32).double()  # as torch rounds it
        places = torch.arange(rows.start, rows.stop, dtype=torch.float64)
        # Between rows of ``maps``; in float32 these numbers would be too coarse.
        places = places * ratio if align_corners else ((places + 0.5) * ratio - 0.5).clamp_(min=0)
        above = places.long()
        below = (above + 1).clamp_(max=height - 1)
        share = (places - above).float()[:, None].to(maps.device)
        above, below = above.to(maps.device), below.to(maps.device)
        maps = maps.index_select(2, above).lerp_(maps.index_select(2, below), share)
    else:
        maps = maps[:, :, rows]
    return resize(maps, (maps.shape[2], full_width), align_corners)


def check_inputs(
    in_channels: int | Sequence[int],
    in_index: int | Sequence[int],
    input_transform: InputTransform | None,
) -> tuple[int | tuple[int, ...], int | tuple[int, ...]]:
    """Check that channels and indices fit the transform.

    Returns:
        Channels and indices, sequences as tuples.

    Raises:
        ValueError: if they do not.
    """
    if input_transform is None:
        if not isinstance(in_channels, int) or not isinstance(in_index, int):
            raise ValueError(
                "without input_transform in_channels and in_index must be integers, "
                f"got {in_channels} and {in_index}"
            )
        return in_channels, in_index
    if isinstance(in_channels, int) or isinstance(in_index, int):
        raise ValueError(
            f"with input_transform={input_transform!r} in_channels and in_index must be "
            f"sequences, got {in_channels} and {in_index}"
        )
    if len(in_channels) != len(in_index):
        raise ValueError(
            f"in_channels and in_index must be equally long, got {in_channels} and {in_index}"
        )
    return tuple(in_channels), tuple(in_index)


def select_features(
    feats: Sequence[Tensor],
    in_index: int | Sequence[int],
    input_transform: InputTransform | None,
    align_corners: bool,
) -> Tensor | list[Tensor]:
    """Pick maps from the backbone's list.

    Returns:
        None: the one map (B, C, h, w). "resize_concat": all maps at the size of the first chosen
        one, concatenated over channels. "multiple_select": the chosen maps as they are, in a list.
    """
    if input_transform is None:
        return feats[in_index]
    chosen = [feats[index] for index in in_index]
    if input_transform == "multiple_select":
        return chosen
    size = chosen[0].shape[2:]
    return torch.cat([resize(maps, size, align_corners) for maps in chosen], dim=1)
