"""Whole networks: backbone and heads, inference, test-time augmentation."""

from .encoder_decoder import EncoderDecoder
from .encoder_decoder_projector import EncoderDecoderProjector
from .tta import SegTTAModel

__all__ = ["EncoderDecoder", "EncoderDecoderProjector", "SegTTAModel"]
