"""Small copies of the evaluation data sets, painted in the colours of the classes.

Every image has one colour, and the network predicts the class of that colour, so the scores can be
worked out by hand from the ground truth.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image

from mmseg.datasets.class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE

from .color_world import PREPROCESSOR, prefixed, segmentor, weights

SIZE = (16, 8)
# Data set -> rows of image, label (no suffixes), painted class, ground truth from left to right.
STREETS = {
    "cityscapes": [
        ("leftImg8bit/val/a/1_leftImg8bit", "gtFine/val/a/1_gtFine_labelTrainIds", "road", "road"),
        ("leftImg8bit/val/b/2_leftImg8bit", "gtFine/val/b/2_gtFine_labelTrainIds", "car", "car"),
    ],
    "dark_zurich": [
        ("rgb_anon/val/night/s/1_rgb_anon", "gt/val/night/s/1_gt_labelTrainIds", "road", "road sky")
    ],
    "night_driving": [
        (
            "leftImg8bit/test/night/1_leftImg8bit",
            "gtCoarse_daytime_trainvaltest/test/night/1_gtCoarse_labelTrainIds",
            "road",
            "road sky",
        )
    ],
    "bdd100k_night": [
        ("images/10k/val/1", "labels/sem_seg/masks/val/1", "terrain", "road"),
        ("images/10k/train/2", "labels/sem_seg/masks/train/2", "road", "road"),
        ("images/10k/train/by_day", "labels/sem_seg/masks/train/by_day", "sky", "sky"),
    ],
    "acdc": [
        (f"rgb_anon/{name}/val/s/1_rgb_anon", f"gt/{name}/val/s/1_gt_labelTrainIds", "road", truth)
        for name, truth in (
            ("fog", "road"),
            ("night", "sky"),
            ("rain", "road sky"),
            ("snow", "car"),
        )
    ],
}


def write_streets(root: Path) -> Path:
    """Write each data set of ``STREETS`` to the folder ``root / name``; return ``root``."""
    for name, samples in STREETS.items():
        for image, label, painted, truth in samples:
            suffix = ".jpg" if name == "bdd100k_night" else ".png"
            _write(root / name / f"{image}{suffix}", root / name / f"{label}.png", painted, truth)
    (root / "bdd100k_night" / "night.txt").write_text("val/1.jpg\ntrain/2.jpg\n")
    return root


def _write(image: Path, label: Path, painted: str, truth: str) -> None:
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    colour = CITYSCAPES_PALETTE[CITYSCAPES_CLASSES.index(painted)]
    Image.new("RGB", SIZE, tuple(colour)).save(image, quality=100)
    columns = np.array([CITYSCAPES_CLASSES.index(name) for name in truth.split()], np.uint8)
    Image.fromarray(np.tile(np.repeat(columns, SIZE[0] // len(columns)), (SIZE[1], 1))).save(label)


def write_checkpoint(path: Path) -> Path:
    """Save a student that predicts the class with the nearest colour; return ``path``."""
    palette = torch.tensor(CITYSCAPES_PALETTE) / 255
    nearest = weights() | {
        "decode_head.conv_seg.weight": 2 * palette[:, :, None, None],
        "decode_head.conv_seg.bias": -palette.square().sum(1),
    }
    torch.save({"state_dict": prefixed("model", nearest)}, path)
    return path


def night_config(root: Path) -> Config:
    """Return a config for Dark Zurich with labelled validation and unlabelled test images.

    Its test-time class weights turn every prediction into sidewalk.
    """
    class_weight = [1.0] * len(CITYSCAPES_CLASSES)
    class_weight[CITYSCAPES_CLASSES.index("sidewalk")] = 100.0
    network = segmentor(len(CITYSCAPES_CLASSES)) | {"test_cfg": {"class_weight": class_weight}}
    prefix = {"img_path": "rgb_anon/val/night", "seg_map_path": "gt/val/night"}
    return Config(
        {
            "custom_imports": {"imports": ["tests.apis.color_world"]},
            "model": {
                "type": "SourceOnly",
                "segmentor": network,
                "data_preprocessor": PREPROCESSOR,
            },
            "val_dataloader": _loader(root, prefix, [{"type": "LoadAnnotations"}]),
            "test_dataloader": _loader(root, {"img_path": "rgb_anon/test/night"}, []),
        }
    )


def _loader(root: Path, prefix: dict[str, str], labels: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "num_workers": 0,
        "dataset": {
            "type": "DarkZurichDataset",
            "data_root": str(root / "dark_zurich"),
            "data_prefix": prefix,
            "pipeline": [{"type": "LoadImageFromFile"}, *labels, {"type": "PackSegInputs"}],
        },
    }
