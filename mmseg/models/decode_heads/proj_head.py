"""Projection head of SePiCo, which computes the features that are contrasted."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from pydantic import PositiveInt
from torch import Tensor, nn

from mmseg.registry import MODELS
from mmseg.utils.setting_types import Channels, InitConfig, MapIndex, PartConfig

from .feature_select import InputTransform, check_inputs, select_features


@MODELS.register_module()
class ProjHead(BaseModule):
    """Project maps by 1x1 convolutions with normalisation and ReLU, then to unit length.

    The head has no loss: the adaptation method contrasts its features.

    Args:
        in_channels: channels of the map read; a sequence with ``input_transform``.
        channels: A, channels of the projection.
        num_convs: 0 only normalises, 1 maps to ``channels``, 2 has another layer before that one.
            It keeps the number of channels of its input; after "resize_concat" it has the mean of
            the levels' channels.
        in_index: index of the map in the backbone's list; a sequence with ``input_transform``.
        input_transform: None reads one map, "resize_concat" resizes all to the first and
            concatenates them, "multiple_select" projects each level by separate layers.
        norm_cfg: config of the normalisation layer; None: no normalisation.
        align_corners: option of the bilinear resize of "resize_concat".
        init_cfg: mmengine's initialisers.
    """

    def __init__(
        self,
        in_channels: Channels,
        channels: PositiveInt = 512,
        num_convs: Literal[0, 1, 2] = 2,
        in_index: MapIndex = -1,
        input_transform: InputTransform | None = None,
        norm_cfg: PartConfig | None = None,
        align_corners: bool = False,
        init_cfg: InitConfig | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.in_index = check_inputs(in_channels, in_index, input_transform)
        self.channels = channels
        self.num_convs = num_convs
        self.input_transform = input_transform
        self.norm_cfg = norm_cfg
        self.align_corners = align_corners
        self.convs: nn.Sequential | nn.ModuleList
        if isinstance(self.in_channels, int):
            self.convs = self._make_convs(self.in_channels, self.in_channels)
        elif input_transform == "resize_concat":
            total = sum(self.in_channels)
            self.convs = self._make_convs(total, total // len(self.in_channels))
        else:
            self.convs = nn.ModuleList(self._make_convs(c, c) for c in self.in_channels)

    def _make_convs(self, in_channels: int, mid_channels: int) -> nn.Sequential:
        widths = {
            0: [in_channels],
            1: [in_channels, self.channels],
            2: [in_channels, mid_channels, self.channels],
        }[self.num_convs]
        if widths[-1] != self.channels:
            raise ValueError(
                f"num_convs=0 changes no channels, but in_channels gives {in_channels} and "
                f"channels is {self.channels}"
            )
        return nn.Sequential(
            *(
                ConvModule(inputs, outputs, 1, norm_cfg=self.norm_cfg)
                for inputs, outputs in pairwise(widths)
            )
        )

    def forward(self, feats: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Project the backbone's maps.

        Returns:
            (B, A, h, w) of unit norm over A, in float32 or higher precision; with "multiple_select"
            a list with one such tensor per level.
        """
        inputs = select_features(feats, self.in_index, self.input_transform, self.align_corners)
        if self.input_transform == "multiple_select":
            return [
                normalize(convs(level)) for convs, level in zip(self.convs, inputs, strict=True)
            ]
        return normalize(self.convs(inputs))


def normalize(features: Tensor) -> Tensor:
    """Normalise (B, A, h, w) to unit norm over A, in float32 or higher precision.

    In half precision the squares of 512 channels would be too inexact for the contrast.
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    return F.normalize(features, dim=1)
