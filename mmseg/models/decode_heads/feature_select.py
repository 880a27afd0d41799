"""Select the maps of a backbone that a head reads, and join them."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

InputTransform = Literal["resize_concat", "multiple_select"]


def resize(maps: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Resize (B, C, h, w) bilinearly to ``size`` (H, W); return maps of that size as they are."""
    size = tuple(size)
    if tuple(maps.shape[2:]) == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=align_corners)


def resize_rows(
    maps: Tensor, size: Sequence[int], rows: slice, align_corners: bool = False
) -> Tensor:
    """Compute some rows of :func:`resize`, equal to its rows up to rounding.

    Args:
        maps: (B, C, h, w) float32.
        size: (H, W) of the whole result.
        rows: the R rows of it to compute.

    Returns:
        (B, C, R, W).
    """
    height, (full_height, full_width) = maps.shape[2], size
    if height != full_height:
        ratio = (height - 1) / max(full_height - 1, 1) if align_corners else height / full_height
        scale = torch.tensor(ratio, dtype=torch.float32).double()  # as torch rounds it
        places = torch.arange(rows.start, rows.stop, dtype=torch.float64)
        # Fractional row numbers of ``maps``; float32 would be too coarse for them.
        places = places * scale if align_corners else ((places + 0.5) * scale - 0.5).clamp_(min=0)
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
        Channels and indices, with sequences as tuples.

    Raises:
        ValueError: if they do not fit.
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
    """Select maps of the backbone; the arguments are those that :func:`check_inputs` checks.

    Returns:
        With ``input_transform`` None the one map (B, C, h, w); with "resize_concat" the selected
        maps, resized to the first and concatenated over channels; with "multiple_select" a list of
        the selected maps.
    """
    if isinstance(in_index, int):
        return feats[in_index]
    chosen = [feats[index] for index in in_index]
    if input_transform == "multiple_select":
        return chosen
    size = chosen[0].shape[2:]
    return torch.cat([resize(maps, size, align_corners) for maps in chosen], dim=1)
