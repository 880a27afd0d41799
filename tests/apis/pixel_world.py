"""Noise images, and a pixel-wise network of 19 classes whose output can be computed directly."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from PIL import Image

from tests.apis.color_world import PREPROCESSOR, segmentor

NUM_CLASSES = 19
SIZE = (12, 8)
FRAMES = ("GOPR0356/GOPR0356_frame_000001", "GOPR0364/GOPR0364_frame_000002")
PIPELINE = [{"type": "LoadImageFromFile"}, {"type": "PackSegInputs"}]


def write_image(path: Path, seed: int) -> None:
    """Write an image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def write_world(folder: Path) -> tuple[Config, Path]:
    """Write two Dark Zurich test images to ``folder/night``; return a config and a checkpoint.

    The config names the validation split as test data, which does not exist.
    """
    for seed, frame in enumerate(FRAMES):
        write_image(folder / f"night/rgb_anon/test/night/{frame}_rgb_anon.png", seed)
    model = segmentor(NUM_CLASSES) | {"data_preprocessor": PREPROCESSOR}
    dataset = {
        "type": "DarkZurichDataset",
        "data_root": str(folder / "night"),
        "data_prefix": {"img_path": "rgb_anon/val/night", "seg_map_path": "gt/val/night"},
        "indices": 1,
        "pipeline": PIPELINE,
    }
    loader = {"batch_size": 2, "num_workers": 0, "dataset": dataset}
    cfg = Config({"model": model, "test_dataloader": loader})
    cfg.custom_imports = {"imports": ["tests.apis.color_world"]}
    torch.save(weights(), folder / "best.pth")
    return cfg, folder / "best.pth"


def weights() -> dict[str, torch.Tensor]:
    """Return segmentor weights whose logits are a linear function of the pixel's RGB / 255."""
    generator = torch.Generator().manual_seed(0)
    return {
        "decode_head.convs.0.conv.weight": torch.eye(3)[:, :, None, None],
        "decode_head.convs.0.conv.bias": torch.zeros(3),
        "decode_head.conv_seg.weight": 9 * torch.randn(NUM_CLASSES, 3, 1, 1, generator=generator),
        "decode_head.conv_seg.bias": torch.randn(NUM_CLASSES, generator=generator),
    }


def probabilities(path: Path) -> NDArray[np.float64]:
    """Compute the network's class probabilities for an image, (H, W, 19)."""
    kernel = weights()["decode_head.conv_seg.weight"][:, :, 0, 0].double().numpy()
    bias = weights()["decode_head.conv_seg.bias"].double().numpy()
    exp = np.exp(np.array(Image.open(path)) / 255 @ kernel.T + bias)
    return exp / exp.sum(-1, keepdims=True)
