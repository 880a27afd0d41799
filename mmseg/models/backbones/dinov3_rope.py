"""Rotary position embedding of DINOv3 (Siméoni et al., 2025)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from timm.layers import RotaryEmbeddingDinoV3
from torch import Tensor, nn


class DINOv3Rope(nn.Module):
    """Rotary embedding that takes the place of timm's, with the same numbers.

    timm's is computed on the CPU, so each forward pass waits for a copy to the device, and its
    exported graph is right for grids of one size only.

    Args:
        periods: (D / 4,) periods of the angles, with D channels of an attention head.
    """

    periods: Tensor

    def __init__(self, periods: Tensor) -> None:
        super().__init__()
        self.register_buffer("periods", periods, persistent=False)

    def get_embed(self, shape: Sequence[int]) -> Tensor:
        """Compute sines and cosines (H * W, 2 * D) for a grid of (H, W) patches."""
        axes = [
            2 * ((torch.arange(side, device=self.periods.device) + 0.5) / side) - 1
            for side in shape
        ]
        places = torch.stack(torch.meshgrid(axes, indexing="ij"), dim=-1).flatten(0, 1)  # (N, 2)
        angles = (2 * math.pi * places[:, :, None] / self.periods).flatten(1).tile(2)  # (N, D)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


def replace_rope(model: Any) -> None:
    """Replace the rotary embedding of timm's model in place if it is that of DINOv3."""
    rope = getattr(model, "rope", None)
    if (
        isinstance(rope, RotaryEmbeddingDinoV3)
        and rope.normalize_coords == "separate"
        and rope.rotate_half
        and rope.grid_offset == 0
    ):
        periods: Any = rope.periods  # a buffer
        model.rope = DINOv3Rope(periods)
