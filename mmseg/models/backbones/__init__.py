"""Feature extractors: an image to a list of feature maps, finest first."""

from .mix_transformer import (
    MixVisionTransformer,
    mit_b0,
    mit_b1,
    mit_b2,
    mit_b3,
    mit_b4,
    mit_b5,
)
from .pretrained import Backbone, load_pretrained
from .resnet import ResNetV1c
from .timm_backbone import TIMMBackbone
from .timm_vit import TIMMViT

__all__ = [
    "Backbone",
    "MixVisionTransformer",
    "ResNetV1c",
    "TIMMBackbone",
    "TIMMViT",
    "load_pretrained",
    "mit_b0",
    "mit_b1",
    "mit_b2",
    "mit_b3",
    "mit_b4",
    "mit_b5",
]
