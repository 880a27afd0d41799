"""Base class of segmentation heads."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from pydantic import PositiveInt
from torch import Tensor, nn

from mmseg.models.losses import pixel_accuracy
from mmseg.registry import MODELS
from mmseg.utils.setting_types import (
    Channels,
    Fraction,
    InitConfig,
    LabelValue,
    MapIndex,
    PartConfig,
)

from .feature_select import InputTransform, check_inputs, resize, resize_rows, select_features


class BaseDecodeHead(BaseModule, metaclass=ABCMeta):
    """Base class of heads that turn feature maps into class logits, and compute their loss.

    Args:
        in_channels: channels of the map read; a sequence with ``input_transform``.
        channels: channels of the input of the classifier ``conv_seg``; None: the subclass computes
            the logits, and there is neither classifier nor dropout.
        num_classes: number of classes C.
        in_index: index of the map in the backbone's list; a sequence with ``input_transform``.
        input_transform: None reads one map, "resize_concat" resizes all to the first and
            concatenates them, "multiple_select" reads a list.
        dropout_ratio: probability of dropping a channel before the classifier.
        conv_cfg: config of the convolutions of :class:`mmcv.cnn.ConvModule`.
        norm_cfg: config of their normalisation.
        act_cfg: config of their activation; None: ReLU.
        loss_decode: config of the loss, a function of logits, label, weight and ``ignore_index``;
            None: CrossEntropyLoss.
        ignore_index: label of pixels without a loss.
        align_corners: option of every bilinear resize of this head.
        init_cfg: mmengine's initialisers; None: N(0, 0.01) for the classifier.
    """

    #: Name of the layers whose outputs are the logits: their weights have a row for each class.
    CLASSIFIER = "conv_seg"

    def __init__(
        self,
        in_channels: Channels,
        channels: PositiveInt | None,
        num_classes: PositiveInt,
        in_index: MapIndex = -1,
        input_transform: InputTransform | None = None,
        dropout_ratio: Fraction = 0.1,
        conv_cfg: PartConfig | None = None,
        norm_cfg: PartConfig | None = None,
        act_cfg: PartConfig | None = None,
        loss_decode: PartConfig | None = None,
        ignore_index: LabelValue = 255,
        align_corners: bool = False,
        init_cfg: InitConfig | None = None,
    ) -> None:
        if init_cfg is None and channels is not None:
            init_cfg = {"type": "Normal", "std": 0.01, "override": {"name": "conv_seg"}}
        super().__init__(init_cfg)
        self.in_channels, self.in_index = check_inputs(in_channels, in_index, input_transform)
        self.input_transform = input_transform
        self.channels = channels
        self.num_classes = num_classes
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg
        self.act_cfg = act_cfg or {"type": "ReLU"}
        self.ignore_index = ignore_index
        self.align_corners = align_corners
        self.loss_decode = MODELS.build(loss_decode or {"type": "CrossEntropyLoss"})
        if channels is not None:
            self.dropout = nn.Dropout2d(dropout_ratio)
            self.conv_seg = nn.Conv2d(channels, num_classes, kernel_size=1)

    @abstractmethod
    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Compute logits (B, C, h, w) from the backbone's maps."""

    def select(self, feats: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Select the maps that this head reads, and join them as ``input_transform`` says."""
        return select_features(feats, self.in_index, self.input_transform, self.align_corners)

    def classify(self, features: Tensor) -> Tensor:
        """Apply dropout and classifier: (B, channels, h, w) -> (B, C, h, w)."""
        return self.conv_seg(self.dropout(features))

    def upsample(
        self, seg_logits: Tensor, size: Sequence[int], rows: slice | None = None
    ) -> Tensor:
        """Resize logits (B, C, h, w) to ``size`` (H, W), in float32 or higher precision.

        Args:
            seg_logits: (B, C, h, w).
            size: (H, W).
            rows: compute only these of the H rows.
        """
        full = seg_logits.to(torch.promote_types(seg_logits.dtype, torch.float32))
        if rows is None:
            return resize(full, size, self.align_corners)
        return resize_rows(full, size, rows, self.align_corners)

    def loss_by_feat(
        self, seg_logits: Tensor, seg_label: Tensor, seg_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Upsample the logits to the size of the label and compute the loss.

        Args:
            seg_logits: (B, C, h, w).
            seg_label: (B, H, W) or (B, 1, H, W), any integer dtype.
            seg_weight: (B, H, W), factor of each pixel's loss.

        Returns:
            Scalars ``loss_seg`` and ``acc_seg``, the latter in percent.
        """
        if seg_label.dim() == 4:
            seg_label = seg_label.squeeze(1)
        seg_logits = self.upsample(seg_logits, seg_label.shape[1:])
        loss = self.loss_decode(
            seg_logits, seg_label, weight=seg_weight, ignore_index=self.ignore_index
        )
        return {"loss_seg": loss, "acc_seg": pixel_accuracy(seg_logits, seg_label)}
