"""Segmentors: networks of backbone and heads, with inference and test-time augmentation."""

from .encoder_decoder import EncoderDecoder, segmentors_of
from .encoder_decoder_projector import EncoderDecoderProjector
from .hrda_encoder_decoder import HRDAEncoderDecoder, HRDAEncoderDecoderProjector
from .tta import SegTTAModel

__all__ = [
    "EncoderDecoder",
    "EncoderDecoderProjector",
    "HRDAEncoderDecoder",
    "HRDAEncoderDecoderProjector",
    "SegTTAModel",
    "segmentors_of",
]
