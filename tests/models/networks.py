"""Define configs of a network of the paper and of two tiny networks."""

import copy

from tests.models import fcn_head  # noqa: F401

DLV2 = {
    "type": "EncoderDecoderProjector",
    "backbone": {
        "type": "ResNetV1c",
        "depth": 101,
        "strides": (1, 2, 1, 1),
        "dilations": (1, 1, 2, 4),
        "contract_dilation": True,
        "norm_cfg": {"type": "BN", "requires_grad": True},
    },
    "decode_head": {
        "type": "DLV2Head",
        "in_channels": 2048,
        "in_index": 3,
        "dilations": (6, 12, 18, 24),
        "num_classes": 19,
    },
    "auxiliary_head": {
        "type": "ProjHead",
        "in_channels": 2048,
        "in_index": 3,
        "channels": 512,
        "num_convs": 2,
        "norm_cfg": {"type": "BN", "requires_grad": True},
    },
}

#: One stage of ResNet-18 (64 channels at 1/4) and a head of one convolution, 5 classes.
TINY = {
    "type": "EncoderDecoder",
    "backbone": {
        "type": "ResNetV1c",
        "depth": 18,
        "num_stages": 1,
        "strides": (1,),
        "dilations": (1,),
        "out_indices": (0,),
    },
    "decode_head": {
        "type": "FCNHead",
        "in_channels": 64,
        "channels": 8,
        "num_classes": 5,
        "num_convs": 1,
        "concat_input": False,
    },
}

#: Two stages of MiT, DAFormer's decoder and a projection of both levels, 5 classes.
TINY_TRANSFORMER = {
    "type": "EncoderDecoderProjector",
    "backbone": {
        "type": "MixVisionTransformer",
        "embed_dims": (8, 16),
        "depths": (1, 1),
        "num_heads": (1, 2),
        "sr_ratios": (2, 1),
        "out_indices": (0, 1),
    },
    "decode_head": {
        "type": "DAFormerHead",
        "in_channels": (8, 16),
        "in_index": (0, 1),
        "embed_dims": 8,
        "channels": 8,
        "dilations": (1, 2),
        "num_classes": 5,
        "norm_cfg": {"type": "BN"},
    },
    "auxiliary_head": {
        "type": "ProjHead",
        "in_channels": (8, 16),
        "in_index": (0, 1),
        "input_transform": "resize_concat",
        "channels": 8,
        "norm_cfg": {"type": "BN"},
    },
}


#: Arguments that make any ViT of timm tiny.
TINY_VIT_OPTIONS = {"depth": 4, "embed_dim": 48, "num_heads": 2}

#: A tiny DINOv2 with patches of 14 pixels, DAFormer's decoder and a projection of all levels.
TINY_VIT = TINY_TRANSFORMER | {
    "backbone": {
        "type": "TIMMViT",
        "model_name": "vit_small_patch14_reg4_dinov2",
        "options": {**TINY_VIT_OPTIONS, "img_size": 56},
    },
    "decode_head": TINY_TRANSFORMER["decode_head"]
    | {"in_channels": (48,) * 4, "in_index": (0, 1, 2, 3)},
    "auxiliary_head": TINY_TRANSFORMER["auxiliary_head"]
    | {"in_channels": (48,) * 4, "in_index": (0, 1, 2, 3)},
}


def tiny(**changes: object) -> dict:
    """Return a fresh copy of :data:`TINY` with top-level ``changes``."""
    return copy.deepcopy(TINY) | changes
