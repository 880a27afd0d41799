"""Configs of a network of the paper, and of a tiny one."""

import copy

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


def tiny(**changes: object) -> dict:
    """A fresh copy of :data:`TINY` with top-level ``changes``."""
    return copy.deepcopy(TINY) | changes
