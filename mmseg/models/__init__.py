"""Networks, losses and adaptation methods.

Importing this package registers them all; the registry does so when it first builds a model.
"""

from . import backbones, checkpoint_loading, decode_heads, losses, segmentors, uda
from .data_preprocessor import SegDataPreProcessor

__all__ = [
    "SegDataPreProcessor",
    "backbones",
    "checkpoint_loading",
    "decode_heads",
    "losses",
    "segmentors",
    "uda",
]
