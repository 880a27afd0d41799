"""Coloured images and a network that maps colours to classes, so that the scores are known."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from PIL import Image

from mmseg.registry import MODELS
from tests.models import fcn_head  # noqa: F401

COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
CLASSES = ("red", "green", "blue")

# Ground truth of two images, and the painted classes, which the network predicts.
LABELS = [[[0, 0, 1, 1], [0, 0, 255, 1]], [[0, 0, 0, 0], [0, 0, 0, 0]]]
PAINTED = [[[0, 1, 1, 1], [0, 1, 1, 1]], [[0, 0, 0, 0], [0, 0, 0, 2]]]
# red: 9 of 12; green: 3 of 5; blue is predicted, but absent from the ground truth: 0
IOU = [75.0, 60.0, 0.0]
ACC = [75.0, 100.0, None]
SCORES = {"aAcc": 80.0, "mIoU": 45.0, "mAcc": 87.5, "mIoU_gt": 67.5}


@MODELS.register_module()
class ThePixels(BaseModule):
    """A backbone that returns its input."""

    def forward(self, inputs):
        return [inputs]


def segmentor(num_classes=3):
    """Return the config of a segmentor: a 1x1 convolution of the normalised colours."""
    return {
        "type": "EncoderDecoder",
        "backbone": {
            "type": "ThePixels",
            "init_cfg": {"type": "Pretrained", "checkpoint": "nowhere.pth"},
        },
        "decode_head": {
            "type": "FCNHead",
            "in_channels": 3,
            "channels": 3,
            "num_classes": num_classes,
            "num_convs": 1,
            "kernel_size": 1,
            "concat_input": False,
        },
    }


PREPROCESSOR = {"type": "SegDataPreProcessor", "mean": [0.0] * 3, "std": [255.0] * 3}


def method_model():
    """Return the model config of the source-only baseline with the segmentor."""
    return {"type": "SourceOnly", "segmentor": segmentor(), "data_preprocessor": PREPROCESSOR}


def plain_model():
    """Return the model config of the segmentor alone."""
    return segmentor() | {"data_preprocessor": PREPROCESSOR}


def weights(favourite=None):
    """Return segmentor weights that predict the painted class, or always ``favourite``."""
    bias = torch.zeros(3)
    if favourite is not None:
        bias[favourite] = 100
    return {
        "decode_head.convs.0.conv.weight": torch.eye(3)[:, :, None, None],
        "decode_head.convs.0.conv.bias": torch.zeros(3),
        "decode_head.conv_seg.weight": torch.eye(3)[:, :, None, None],
        "decode_head.conv_seg.bias": bias,
    }


def prefixed(prefix, state_dict):
    """Prefix the keys of a state dict."""
    return {f"{prefix}.{name}": value for name, value in state_dict.items()}


def write_world(folder: Path, model, scale=4) -> Config:
    """Write images and labels, each cell as scale x scale pixels; return their config."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for i, (label, painted) in enumerate(zip(LABELS, PAINTED, strict=True)):
        block = np.ones((scale, scale), np.uint8)
        image = COLORS[np.kron(np.array(painted, np.uint8), block)]
        Image.fromarray(image).save(folder / "images" / f"im{i}.png")
        Image.fromarray(np.kron(np.array(label, np.uint8), block)).save(
            folder / "labels" / f"im{i}.png"
        )
    return Config({"default_scope": "mmseg", "model": model, "test_dataloader": loader(folder)})


def write_config(cfg: Config, path: Path) -> None:
    """Write a config as a Python file; ``Config.dump`` would spend half a second on formatting."""
    settings = cfg.to_dict().items()
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in settings))


def loader(folder: Path):
    """Return the config of the data loader."""
    return {
        "batch_size": 2,
        "num_workers": 0,
        "persistent_workers": True,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "dataset": {
            "type": "BaseSegDataset",
            "data_root": str(folder),
            "data_prefix": {"img_path": "images", "seg_map_path": "labels"},
            "img_suffix": ".png",
            "metainfo": {"classes": CLASSES, "palette": COLORS.tolist()},
            "pipeline": [
                {"type": "LoadImageFromFile"},
                {"type": "Resize", "scale": (16, 8), "keep_ratio": True},
                {"type": "LoadAnnotations"},
                {"type": "PackSegInputs"},
            ],
        },
    }
