"""What users of an exported network need to know, stored in its file."""

import json
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel

from mmseg.utils.checkpoint import Role
from mmseg.utils.work_dir import git_revision


def metadata_of(
    cfg: Config,
    model: BaseModel,
    smallest: tuple[int, int],
    checkpoint: str | os.PathLike,
    role: Role,
) -> dict[str, Any]:
    """Describe an exported network by values that JSON can hold.

    Args:
        cfg: config of the model.
        model: the model, with its classes and preprocessor.
        smallest: smallest height and width of an image.
        checkpoint: path of the checkpoint, whose name is stored.
        role: network of the checkpoint.
    """
    preprocessor = model.data_preprocessor
    order = slice(None) if preprocessor.bgr_to_rgb else slice(None, None, -1)  # always RGB
    return {
        "classes": list(model.dataset_meta.get("classes", ())),
        "palette": [list(map(int, color)) for color in model.dataset_meta.get("palette", ())],
        "input": "image: float32 (batch, 3, height, width), RGB, 0 to 255, at least "
        f"{smallest[0]}x{smallest[1]} (height x width)",
        "outputs": "logits: float32 (batch, classes, height, width); classes: (batch, height, "
        "width), the index of the largest logit",
        "preprocessing": {
            "channel_order": "RGB",
            "value_range": [0, 255],
            "resize": resize_of(cfg),
            "mean": preprocessor.mean.flatten().tolist()[order],
            "std": preprocessor.std.flatten().tolist()[order],
            "normalised": "in the graph",
        },
        "test_cfg": json.loads(json.dumps(test_cfg_of(cfg), default=str)),
        "model": role,
        "checkpoint": Path(checkpoint).name,
        "git_revision": git_revision() or "unknown",
    }


def test_cfg_of(cfg: Config) -> dict[str, Any]:
    """Return how the config predicts: ``mode`` and, for windows, ``crop_size`` and ``stride``."""
    segmentor = cfg.model.get("segmentor", cfg.model)
    return {"mode": "whole", **(segmentor.get("test_cfg") or {})}


def resize_of(cfg: Config) -> dict[str, Any] | None:
    """Return how the test pipeline resizes images before the network; None if it does not.

    Returns:
        ``width`` and ``height``; ``keep_ratio``: whether images keep their proportions and become
        as large as fits.
    """
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    for transform in dataset.get("pipeline", ()):
        if transform["type"] == "Resize" and transform.get("scale"):
            width, height = transform["scale"]
            keep_ratio = transform.get("keep_ratio", False)
            return {"width": width, "height": height, "keep_ratio": keep_ratio}
    return None
