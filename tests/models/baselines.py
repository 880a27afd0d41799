"""Tiny networks and data of the numbers recorded from DAFormer, HRDA and MIC."""

import copy
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from torch import nn

from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tests.golden import load_golden, weights_by_name

#: Base seeds of the recorded data.
SEEDS = load_golden("baselines/seeds.json")

BN = {"type": "BN", "requires_grad": True}
MIT_HEAD = {
    "type": "DAFormerHead",
    "in_channels": (32, 64, 160, 256),
    "channels": 32,
    "embed_dims": 32,
    "dropout_ratio": 0.0,
    "num_classes": 19,
    "norm_cfg": BN,
}
RESNET_HEAD = {
    "type": "DLV2Head",
    "in_channels": 2048,
    "in_index": 3,
    "dilations": (6, 12),
    "num_classes": 19,
}
RESNET = {
    "type": "ResNetV1c",
    "depth": 50,
    "strides": (1, 2, 1, 1),
    "dilations": (1, 1, 2, 4),
    "contract_dilation": True,
    "norm_cfg": BN,
}
NETWORKS = {
    "mitb0": {"backbone": {"type": "mit_b0", "drop_path_rate": 0.0}, "decode_head": MIT_HEAD},
    "r50": {"backbone": RESNET, "decode_head": RESNET_HEAD},
}
ATTENTION = {
    "mitb0": {**MIT_HEAD, "channels": 16, "embed_dims": 16, "dilations": None},
    "r50": RESNET_HEAD,
}


def segmentor_config(name: str, multi_resolution: bool) -> dict[str, Any]:
    """Make the config of a recorded network, ``mitb0`` or ``r50``, as it is or under HRDA."""
    network = copy.deepcopy(NETWORKS[name])
    if not multi_resolution:
        return {"type": "EncoderDecoder", **network}
    network["decode_head"] = {
        "type": "HRDAHead",
        "head": network["decode_head"],
        "scale_attention": copy.deepcopy(ATTENTION[name]),
    }
    return {"type": "HRDAEncoderDecoder", "detail_size": (64, 64), **network}


def build_segmentor(name: str, multi_resolution: bool, **options: Any) -> nn.Module:
    """Build a recorded network with its recorded weights."""
    segmentor = MODELS.build(segmentor_config(name, multi_resolution) | options)
    weights_by_name(segmentor)
    return segmentor


def enlarged(values: np.ndarray, factor: int) -> np.ndarray:
    """Repeat the last two axes."""
    return values.repeat(factor, axis=-2).repeat(factor, axis=-1)


class IterationData:
    """Recorded data of iteration t for images of n x n pixels."""

    def __init__(self, t: int, n: int) -> None:
        rs = np.random.RandomState(SEEDS["S"] + t)
        coarse = rs.randint(0, 19, (2, 1, 2, 2))
        fine = rs.randint(0, 19, (2, 1, 8, 8))
        replace = rs.rand(2, 1, 8, 8) < 0.1
        ignore = rs.rand(2, 1, 8, 8) < 0.05
        label = np.where(replace, fine, enlarged(coarse, 4))
        label[ignore] = 255
        self.label = torch.tensor(enlarged(label, n // 8))
        self.image = torch.tensor(rs.standard_normal((2, 3, n, n))).float()
        self.target = torch.tensor(rs.standard_normal((2, 3, n, n))).float()
        self.mix_mask = torch.tensor(enlarged(rs.rand(2, 1, 4, 4) < 0.5, n // 4))[:, 0]
        self.corners = (rs.randint(0, 8, (3, 2)) * 8).tolist()
        self.u = torch.tensor(rs.rand(2, 1, 4, 4)).float()
        #: For each target image rows at the top and bottom, columns at the left and right.
        self.margins = rs.randint(0, n // 8, (2, 4)).tolist()

    def batch(self, target_metainfo: list[dict]) -> dict:
        """Return the batch that a method trains on."""
        labelled = []
        for label in self.label:
            sample = SegDataSample()
            sample.set_data({"gt_sem_seg": PixelData(data=label)})
            labelled.append(sample)
        unlabelled = [SegDataSample(metainfo=info) for info in target_metainfo]
        return {
            "source": {"inputs": self.image, "data_samples": labelled},
            "target": {"inputs": self.target, "data_samples": unlabelled},
        }
