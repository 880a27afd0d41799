"""Hoyer et al., "DAFormer", CVPR 2022, section 3.2: context-aware multi-level feature fusion."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from pydantic import PositiveInt
from torch import Tensor, nn

from mmseg.models.utils.checkpointing import run
from mmseg.registry import MODELS
from mmseg.utils.memory import on_cpu
from mmseg.utils.setting_types import (
    Fraction,
    InitConfig,
    LabelValue,
    MapIndices,
    PartConfig,
    PositiveInts,
)

from .decode_head import BaseDecodeHead
from .feature_select import resize


class LinearEmbedding(nn.Module):
    """A linear layer on the channels of a map."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C_in, h, w) -> (B, C, h, w) in channels-last memory format."""
        return self.proj(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class DilatedConv2d(nn.Conv2d):
    """A convolution that on CPUs, without gradients, pads its input beforehand.

    There a depth-wise convolution of channels-last maps is up to 40 times slower if it pads
    internally; with contiguous maps it is twice as slow as this. The backward pass gains nothing.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve (B, C_in, H, W) -> (B, C, H', W')."""
        padding = self.padding
        if (
            not on_cpu(inputs)
            or torch.is_grad_enabled()
            or isinstance(padding, str)
            or not any(padding)
        ):
            return super().forward(inputs)
        height, width = padding
        padded = F.pad(inputs, (width, width, height, height))
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class SeparableASPP(nn.Module):
    """ASPP of parallel depth-wise separable dilated convolutions, fused by a 3x3 convolution.

    Args:
        in_channels: channels of the fused map.
        channels: channels of each branch and of the output.
        dilations: dilation of each branch; 1 makes a plain 1x1 convolution.
        norm_cfg: config of the normalisation layer.
        act_cfg: config of the activation.
        with_cp: whether to checkpoint activations: recompute those of branches in the backward
            pass.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        dilations: Sequence[int],
        norm_cfg: dict | None,
        act_cfg: dict,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        layer_cfg = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        conv_cfg = {"type": DilatedConv2d}
        self.aspp_modules = nn.ModuleList(
            ConvModule(in_channels, channels, 1, **layer_cfg)
            if dilation == 1
            else DepthwiseSeparableConvModule(
                in_channels,
                channels,
                3,
                padding=dilation,
                dilation=dilation,
                conv_cfg=conv_cfg,
                **layer_cfg,
            )
            for dilation in dilations
        )
        self.bottleneck = ConvModule(len(dilations) * channels, channels, 3, padding=1, **layer_cfg)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C_in, h, w) -> (B, C, h, w)."""
        if on_cpu(features) and torch.is_grad_enabled():
            # Its depth-wise convolutions train twice as fast on a CPU then (benchmarks/RESULTS.md).
            features = features.contiguous()
        branches = [run(module, features, with_cp=self.with_cp) for module in self.aspp_modules]
        return self.bottleneck(torch.cat(branches, dim=1))


@MODELS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Embed every level, resize all to the size of the first, and fuse them by an ASPP.

    Args:
        embed_dims: channels of each level's linear embedding.
        dilations: dilations of the ASPP's branches; None: a 1x1 convolution instead of the ASPP, as
            in the scale attention of HRDA.

    The other arguments are those of :class:`BaseDecodeHead`; ``in_channels`` and
    ``in_index`` are sequences with one entry per level.
    """

    def __init__(
        self,
        in_channels: PositiveInts,
        channels: PositiveInt,
        num_classes: PositiveInt,
        in_index: MapIndices = (0, 1, 2, 3),
        embed_dims: PositiveInt = 256,
        dilations: PositiveInts | None = (1, 6, 12, 18),
        dropout_ratio: Fraction = 0.1,
        norm_cfg: PartConfig | None = None,
        act_cfg: PartConfig | None = None,
        loss_decode: PartConfig | None = None,
        ignore_index: LabelValue = 255,
        align_corners: bool = False,
        init_cfg: InitConfig | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            channels,
            num_classes,
            in_index=in_index,
            input_transform="multiple_select",
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=init_cfg,
        )
        self.embed_layers = nn.ModuleList(
            LinearEmbedding(width, embed_dims) for width in in_channels
        )
        joined, norm, act = embed_dims * len(in_channels), self.norm_cfg, self.act_cfg
        self.fuse_layer = (
            ConvModule(joined, channels, 1, norm_cfg=norm, act_cfg=act)
            if dilations is None
            else SeparableASPP(joined, channels, dilations, norm, act)
        )

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Compute logits (B, C, h, w) at the size of the first level read."""
        levels = self.select(feats)
        size = levels[0].shape[2:]
        embedded = [embed(level) for embed, level in zip(self.embed_layers, levels, strict=True)]
        # Autocast resizes in float32, and each branch of the ASPP would cast the joined map again.
        resized = [resize(each, size, self.align_corners).to(each.dtype) for each in embedded]
        return self.classify(self.fuse_layer(torch.cat(resized, dim=1)))
