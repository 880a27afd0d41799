"""Heads: feature maps to class logits, or to projected features."""

from .daformer_head import DAFormerHead
from .decode_head import BaseDecodeHead
from .dlv2_head import DLV2Head
from .feature_select import resize
from .hrda_head import HRDAHead
from .proj_head import ProjHead

__all__ = ["BaseDecodeHead", "DAFormerHead", "DLV2Head", "HRDAHead", "ProjHead", "resize"]
