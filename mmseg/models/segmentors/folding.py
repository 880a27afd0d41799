"""BatchNorm as a part of the convolution before it, in networks that only predict."""

from collections.abc import Iterable

from mmcv.cnn import ConvModule, fuse_conv_bn
from torch import nn

from mmseg.models.backbones import ResNetV1c
from mmseg.models.decode_heads.daformer_head import DilatedConv2d
from mmseg.utils.layers import BATCH_NORMS, CONVOLUTIONS

# Others may do more with their weight than to convolve with it: mmcv's ConvWS standardises it.
PLAIN_CONVOLUTIONS = (nn.Conv2d, DilatedConv2d)
ORDER = ("conv", "norm", "act")


def fold_batch_norm(backbone: nn.Module, heads: Iterable[nn.Module]) -> None:
    """Fold BatchNorm in a :class:`ResNetV1c`, and in the ``ConvModule`` layers of heads.

    Of other backbones it is not known what follows what; they stay as they are, as does what cannot
    be folded.
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
    """Whether a layer, if it is a convolution or BatchNorm at all, does what folding supposes."""
    if isinstance(layer, BATCH_NORMS):
        return layer.affine and layer.track_running_stats
    return not isinstance(layer, CONVOLUTIONS) or type(layer) in PLAIN_CONVOLUTIONS
