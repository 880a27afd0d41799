"""Chen et al., "DeepLab", TPAMI 2018 (DeepLab v2), section 3.2."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from pydantic import PositiveInt
from torch import Tensor, nn

from mmseg.registry import MODELS
from mmseg.utils.setting_types import InitConfig, LabelValue, PartConfig, PositiveInts

from .decode_head import BaseDecodeHead


@MODELS.register_module()
class DLV2Head(BaseDecodeHead):
    """Sum of parallel dilated 3x3 convolutions that predict the classes directly (ASPP-L).

    Args:
        dilations: dilations of the parallel convolutions.
        init_cfg: mmengine's initialisers; None: N(0, 0.01) for the convolutions.

    The other arguments are those of :class:`BaseDecodeHead`.
    """

    CLASSIFIER = "aspp_modules"

    def __init__(
        self,
        in_channels: PositiveInt,
        num_classes: PositiveInt,
        dilations: PositiveInts = (6, 12, 18, 24),
        in_index: int = -1,
        conv_cfg: PartConfig | None = None,
        loss_decode: PartConfig | None = None,
        ignore_index: LabelValue = 255,
        align_corners: bool = False,
        init_cfg: InitConfig | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = {"type": "Normal", "std": 0.01, "override": {"name": "aspp_modules"}}
        super().__init__(
            in_channels,
            channels=None,
            num_classes=num_classes,
            in_index=in_index,
            conv_cfg=conv_cfg,
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            align_corners=align_corners,
            init_cfg=init_cfg,
        )
        self.aspp_modules = nn.ModuleList(
            ConvModule(
                in_channels,
                num_classes,
                3,
                padding=dilation,
                dilation=dilation,
                conv_cfg=conv_cfg,
                act_cfg=None,
            )
            for dilation in dilations
        )

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Compute logits (B, C, h, w) at the size of the map read."""
        features = self.select(feats)
        return sum(module(features) for module in self.aspp_modules)
