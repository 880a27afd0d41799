"""A small head for tests: Long et al., "Fully Convolutional Networks", CVPR 2015."""

from collections.abc import Sequence
from typing import Literal

import torch
from mmcv.cnn import ConvModule
from pydantic import PositiveInt
from torch import Tensor, nn

from mmseg.models.decode_heads import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils.setting_types import (
    Channels,
    Fraction,
    InitConfig,
    LabelValue,
    MapIndex,
    PartConfig,
)


@MODELS.register_module()
class FCNHead(BaseDecodeHead):
    """A stack of convolutions and a classifier.

    Args:
        num_convs: number of convolutions.
        kernel_size: side of the kernels, odd.
        concat_input: whether one more convolution joins the stack's output with its input.

    The other arguments are those of :class:`BaseDecodeHead`.
    """

    def __init__(
        self,
        in_channels: Channels,
        channels: PositiveInt,
        num_classes: PositiveInt,
        num_convs: PositiveInt = 2,
        kernel_size: PositiveInt = 3,
        concat_input: bool = True,
        in_index: MapIndex = -1,
        input_transform: Literal["resize_concat"] | None = None,
        dropout_ratio: Fraction = 0.1,
        conv_cfg: PartConfig | None = None,
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
            in_index,
            input_transform,
            dropout_ratio,
            conv_cfg,
            norm_cfg,
            act_cfg,
            loss_decode,
            ignore_index,
            align_corners,
            init_cfg,
        )
        width = self.in_channels if isinstance(self.in_channels, int) else sum(self.in_channels)
        layer_cfg = {
            "kernel_size": kernel_size,
            "padding": kernel_size // 2,
            "conv_cfg": self.conv_cfg,
            "norm_cfg": self.norm_cfg,
            "act_cfg": self.act_cfg,
        }
        self.convs = nn.Sequential(
            *(
                ConvModule(width if index == 0 else channels, channels, **layer_cfg)
                for index in range(num_convs)
            )
        )
        self.conv_cat = (
            ConvModule(width + channels, channels, **layer_cfg) if concat_input else None
        )

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Compute logits (B, C, h, w) at the size of the selected map."""
        inputs = self.select(feats)
        features = self.convs(inputs)
        if self.conv_cat is not None:
            features = self.conv_cat(torch.cat([inputs, features], dim=1))
        return self.classify(features)
