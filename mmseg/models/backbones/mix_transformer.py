"""Mix Transformer: Xie et al., "SegFormer", NeurIPS 2021, section 3.1.

Shapes: B images, N = H x W tokens, C channels, M heads, D = C / M, K tokens after reduction.
"""

import math
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmseg.models.utils.checkpointing import run
from mmseg.registry import MODELS
from mmseg.utils.setting_types import Indices, PartConfig, PositiveInts

from .pretrained import Backbone

#: LayerNorm epsilon of blocks and stage ends; patch embeddings and reductions use torch's 1e-5.
EPS = 1e-6
MLP_RATIO = 4


def _to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Reshape (B, N, C) -> (B, C, H, W), a channels-last view."""
    # Transposing before splitting would give a batch of one the strides of neither format.
    return tokens.unflatten(1, size).permute(0, 3, 1, 2)


def _to_tokens(image: Tensor) -> Tensor:
    """Reshape (B, C, H, W) -> (B, N, C)."""
    return image.flatten(2).transpose(1, 2)


class OverlapPatchEmbed(nn.Module):
    """A strided convolution over overlapping patches, then LayerNorm over the channels."""

    def __init__(self, in_channels: int, channels: int, patch_size: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, patch_size, stride, padding=patch_size // 2)
        self.norm = nn.LayerNorm(channels)

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Embed (B, C_in, H_in, W_in) -> tokens (B, N, C), and return their (H, W) too."""
        image = self.proj(image)
        return self.norm(_to_tokens(image)), (image.shape[2], image.shape[3])


class EfficientAttention(nn.Module):
    """Self-attention with keys and values from a map reduced by a strided convolution.

    Args:
        channels: C.
        num_heads: M.
        sr_ratio: factor by which each side of the map is reduced for keys and values.
    """

    def __init__(self, channels: int, num_heads: int, sr_ratio: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.sr: nn.Conv2d | None = None
        if sr_ratio > 1:
            self.sr = nn.Conv2d(channels, channels, sr_ratio, sr_ratio)
            self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (B, N, C) -> (B, N, C)."""
        heads = (self.num_heads, tokens.shape[2] // self.num_heads)
        query = self.q(tokens).unflatten(2, heads).transpose(1, 2)  # (B, M, N, D)
        reduced = tokens
        if self.sr is not None:
            reduced = self.norm(_to_tokens(self.sr(_to_map(tokens, size))))  # (B, K, C)
        key, value = (
            half.unflatten(2, heads).transpose(1, 2)  # (B, M, K, D)
            for half in self.kv(reduced).chunk(2, dim=2)
        )
        out = F.scaled_dot_product_attention(query, key, value)
        return self.proj(out.transpose(1, 2).flatten(2))


class DepthwiseConv(nn.Module):
    """A depth-wise 3x3 convolution on tokens, which replaces positional encoding in SegFormer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (B, N, C) -> (B, N, C)."""
        return _to_tokens(self.dwconv(_to_map(tokens, size)))


class MixFFN(nn.Module):
    """Mix-FFN (equation 3): linear, depth-wise convolution, GELU, linear."""

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden_channels)
        self.dwconv = DepthwiseConv(hidden_channels)
        self.fc2 = nn.Linear(hidden_channels, channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (B, N, C) -> (B, N, C)."""
        return self.fc2(F.gelu(self.dwconv(self.fc1(tokens), size)))


class DropPath(nn.Dropout2d):
    """Stochastic depth (Huang et al., ECCV 2016): dropout of samples, the channels of Dropout2d."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, C) -> (B, N, C)."""
        return super().forward(tokens.unsqueeze(0)).squeeze(0)


class Block(nn.Module):
    """Transformer block: attention and Mix-FFN, pre-normalised, with stochastic depth."""

    def __init__(self, channels: int, num_heads: int, sr_ratio: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=EPS)
        self.attn = EfficientAttention(channels, num_heads, sr_ratio)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(channels, eps=EPS)
        self.mlp = MixFFN(channels, MLP_RATIO * channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (B, N, C) -> (B, N, C)."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), size))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens), size))


@MODELS.register_module()
class MixVisionTransformer(Backbone):
    """Mix Transformer: four stages of blocks at 1/4, 1/8, 1/16 and 1/32 of the image size.

    State-dict keys are those of NVlabs' ``mit_b<n>.pth``.

    Args:
        embed_dims: number of channels of each stage.
        depths: number of blocks of each stage.
        num_heads: number of attention heads of each stage.
        sr_ratios: reduction factor of keys and values in each stage.
        in_channels: number of channels of the image.
        drop_path_rate: drop rate of the last block; it grows linearly from 0 at the first.
        out_indices: stages whose output is returned.
        with_cp: whether to checkpoint activations: recompute those of blocks in the backward pass.
        init_cfg: None, or ``dict(type="Pretrained", checkpoint="<file>")``.
    """

    def __init__(
        self,
        embed_dims: PositiveInts,
        depths: PositiveInts,
        num_heads: PositiveInts = (1, 2, 5, 8),
        sr_ratios: PositiveInts = (8, 4, 2, 1),
        in_channels: PositiveInt = 3,
        drop_path_rate: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        out_indices: Indices = (0, 1, 2, 3),
        with_cp: bool = False,
        init_cfg: PartConfig | None = None,
    ) -> None:
        super().__init__(init_cfg)
        num_stages = len(embed_dims)
        if not len(depths) == len(num_heads) == len(sr_ratios) == num_stages:
            raise ValueError("embed_dims, depths, num_heads and sr_ratios must be equally long")
        if not out_indices or not set(out_indices) <= set(range(num_stages)):
            raise ValueError(
                f"out_indices must be among {list(range(num_stages))}, got {tuple(out_indices)}"
            )
        self.out_indices = tuple(out_indices)
        self.with_cp = with_cp
        self.num_stages = num_stages
        total = sum(depths)
        rates = [drop_path_rate * index / max(total - 1, 1) for index in range(total)]
        width = in_channels
        for stage, (channels, depth) in enumerate(zip(embed_dims, depths, strict=True)):
            patch_size, stride = (7, 4) if stage == 0 else (3, 2)
            blocks = nn.ModuleList(
                Block(channels, num_heads[stage], sr_ratios[stage], rates.pop(0))
                for _ in range(depth)
            )
            embed = OverlapPatchEmbed(width, channels, patch_size, stride)
            self.add_module(f"patch_embed{stage + 1}", embed)
            self.add_module(f"block{stage + 1}", blocks)
            self.add_module(f"norm{stage + 1}", nn.LayerNorm(channels, eps=EPS))
            width = channels
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Use a truncated normal for linear layers, He (fan-out) for convolutions, zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Compute (B, 3, H, W) -> one map (B, C_i, H_i, W_i) for each of ``out_indices``."""
        x, features = inputs, []
        for stage in range(1, self.num_stages + 1):
            tokens, size = getattr(self, f"patch_embed{stage}")(x)
            for block in getattr(self, f"block{stage}"):
                tokens = run(block, tokens, size, with_cp=self.with_cp)
            x = _to_map(getattr(self, f"norm{stage}")(tokens), size)
            if stage - 1 in self.out_indices:
                features.append(x)
        return features


class _MiT(MixVisionTransformer):
    """Base class of the published sizes; see :class:`MixVisionTransformer` for the arguments."""

    embed_dims: tuple[int, ...] = (64, 128, 320, 512)
    depths: tuple[int, ...]

    def __init__(
        self,
        in_channels: PositiveInt = 3,
        drop_path_rate: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        out_indices: Indices = (0, 1, 2, 3),
        with_cp: bool = False,
        init_cfg: PartConfig | None = None,
    ) -> None:
        super().__init__(
            self.embed_dims,
            self.depths,
            in_channels=in_channels,
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )


@MODELS.register_module()
class mit_b0(_MiT):
    """MiT-B0: 3.4 M parameters."""

    embed_dims = (32, 64, 160, 256)
    depths = (2, 2, 2, 2)


@MODELS.register_module()
class mit_b1(_MiT):
    """MiT-B1: 13.2 M parameters."""

    depths = (2, 2, 2, 2)


@MODELS.register_module()
class mit_b2(_MiT):
    """MiT-B2: 24.2 M parameters."""

    depths = (3, 4, 6, 3)


@MODELS.register_module()
class mit_b3(_MiT):
    """MiT-B3: 44.1 M parameters."""

    depths = (3, 4, 18, 3)


@MODELS.register_module()
class mit_b4(_MiT):
    """MiT-B4: 60.8 M parameters."""

    depths = (3, 8, 27, 3)


@MODELS.register_module()
class mit_b5(_MiT):
    """MiT-B5: 81.4 M parameters."""

    depths = (3, 6, 40, 3)
