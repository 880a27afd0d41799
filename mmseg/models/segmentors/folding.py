"""Fold BatchNorm into the convolution before it, in networks that only predict."""

from collections.abc import Iterable

from mmcv.cnn import ConvModule, fuse_conv_bn
from torch import nn

from mmseg.models.backbones import ResNetV1c
from mmseg.models.decode_heads.daformer_head import DilatedConv2d
from mmseg.utils.layers import BATCH_NORMS, CONVOLUTIONS

# Other classes may transform their weight before convolving: mmcv's ConvWS standardises it.
PLAIN_CONVOLUTIONS = (nn.Conv2d, DilatedConv2d)
ORDER = ("conv", "norm", "act")


def fold_batch_norm(backbone: nn.Module, heads: Iterable[nn.Module]) -> None:
    """Fold BatchNorm in a :class:`ResNetV1c`, and in the ``ConvModule`` layers of heads.

    Other backbones are left unchanged, as the order of their layers is unknown, and so are layers
    that cannot be folded.
    """
    parts = [backbone] if isinstance(backbone, ResNetV1c) else []
    for head in heads:
        parts += [
            layer
            for layer in head.modules()
            if isinstance(layer, ConvModule) and layer.order == ORDER
        ]
    for part in parts:
        if all(_foldable(layer) for layer in part.modules()):
            fuse_conv_bn(part)


def _foldable(layer: nn.Module) -> bool:
    """Tell whether a layer can be folded, or is neither a convolution nor BatchNorm."""
    if isinstance(layer, BATCH_NORMS):
        return layer.affine and layer.track_running_stats
    return not isinstance(layer, CONVOLUTIONS) or type(layer) in PLAIN_CONVOLUTIONS
