"""Ways to predict an image: as the config says, in one piece, or in windows."""

import copy
from collections.abc import Sequence
from typing import Literal, get_args

from mmengine.config import Config

from mmseg.utils import InputError

Mode = Literal["config", "whole", "slide"]
# Default stride as a share of the window: neighbours overlap by a third.
STRIDE_RATIO = 2 / 3


def with_mode(
    cfg: Config,
    mode: Mode,
    crop_size: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
) -> Config:
    """Copy a config and change how it predicts.

    Args:
        cfg: config with ``model`` and a ``test_dataloader``, which is not changed.
        mode: "config": as the config says; "whole": resized as the config says, in one piece;
            "slide": not resized, in overlapping windows whose predictions are averaged.
        crop_size: (height, width) of the windows; default: ``data_preprocessor.size``, the size of
            training images.
        stride: (vertical, horizontal) distance of the windows; default: 2/3 of their size.

    Raises:
        InputError: if the mode is unknown, or windows have no size or leave gaps.
    """
    if mode not in get_args(Mode):
        raise InputError(f"mode {mode!r} unknown; choose from {', '.join(get_args(Mode))}")
    if mode != "slide" and (crop_size or stride):
        raise InputError(f"--crop-size and --stride belong to --mode slide, not to {mode}")
    if mode == "config":
        return cfg
    if not isinstance(cfg.get("model"), dict):
        raise InputError("the config has no model")
    cfg = copy.deepcopy(cfg)
    segmentor = cfg.model.get("segmentor", cfg.model)
    test_cfg = dict(segmentor.get("test_cfg") or {})
    for name in ("mode", "crop_size", "stride"):
        test_cfg.pop(name, None)
    if mode == "slide":
        test_cfg |= _windows(cfg, crop_size, stride)
        dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
        dataset["pipeline"] = [t for t in dataset.get("pipeline", []) if t["type"] != "Resize"]
    segmentor["test_cfg"] = {"mode": mode, **test_cfg}
    return cfg


def _windows(
    cfg: Config, crop_size: Sequence[int] | None, stride: Sequence[int] | None
) -> dict[str, tuple[int, int]]:
    if not crop_size:
        crop_size = (cfg.model.get("data_preprocessor") or {}).get("size")
    if not crop_size:
        raise InputError(
            "--mode slide: the config names no data_preprocessor.size to take windows of: "
            "give --crop-size H W"
        )
    stride = stride or [max(1, round(STRIDE_RATIO * side)) for side in crop_size]
    if not all(0 < step <= side for step, side in zip(stride, crop_size, strict=True)):
        raise InputError(
            f"--stride {stride[0]} {stride[1]} must be positive and not exceed --crop-size "
            f"{crop_size[0]} {crop_size[1]}, or there would be gaps between the windows"
        )
    (height, width), (down, right) = crop_size, stride
    return {"crop_size": (height, width), "stride": (down, right)}
