"""Segmentors: networks of backbone and heads, with inference and test-time augmentation."""

from .encoder_decoder import EncoderDecoder, segmentors_of
from .encoder_decoder_projector import EncoderDecoderProjector
from .tta import SegTTAModel

__all__ = ["EncoderDecoder", "EncoderDecoderProjector", "SegTTAModel", "segmentors_of"]
