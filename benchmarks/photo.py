"""The peak memory of predicting one large photo."""

import multiprocessing
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg.apis.init_model import without_pretrained
from mmseg.apis.predict import PredictionFiles, predict
from mmseg.registry import MODELS
from mmseg.utils import InputError

from .measure import peak_memory, title
from .step import quiet


def measure_photo(cfg: Config, checkpoint: str | None, side: int, device: torch.device) -> str:
    """Predict a square photo in a new process, whose memory nothing else has raised.

    Args:
        cfg: holds ``model`` and ``test_dataloader``.
        checkpoint: without one, the weights are random: the memory is the same.
        side: of the photo, in pixels.
        device: that predicts.

    Returns:
        A line with the peak memory and the seconds.

    Raises:
        InputError: the photo would have no pixels.
    """
    if side < 1:
        raise InputError(f"--photo {side}: must be at least 1")
    with tempfile.TemporaryDirectory() as folder:
        cv2.imwrite(f"{folder}/photo.png", _photo(side))
        if not checkpoint:
            checkpoint = f"{folder}/random.pth"
            init_default_scope("mmseg")
            with quiet():
                torch.save(MODELS.build(without_pretrained(cfg.model)).state_dict(), checkpoint)
        start = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=start) as pool:
            work = pool.submit(_predict, cfg.to_dict(), checkpoint, folder, device.type)
            memory, seconds = work.result()
    kind, peak = next(iter(memory.items()))
    return (
        f"{title(cfg)}, photo of {side}x{side}: peak {kind} {peak:.0f} MiB "
        f"({peak * 2**20 / side**2:.1f} bytes a pixel), {seconds:.1f} s"
    )


def _photo(side: int) -> np.ndarray:
    """A smooth picture, (side, side, 3) uint8: its file is small."""
    ramp = np.linspace(0, 255, side).astype(np.uint8)
    photo = np.empty((side, side, 3), np.uint8)
    photo[..., 0], photo[..., 1], photo[..., 2] = ramp, ramp[:, None], ramp[::-1]
    return photo


def _predict(
    cfg: Mapping[str, Any], checkpoint: str, folder: str, device: str
) -> tuple[dict[str, float], float]:
    start = time.perf_counter()
    files = PredictionFiles(Path(folder, "out"))
    report = predict(Config(cfg), checkpoint, [f"{folder}/photo.png"], files, device=device)
    if report.problems:
        raise InputError(report.problems[0])
    return peak_memory(torch.device(device)), time.perf_counter() - start
