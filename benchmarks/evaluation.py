"""Measure the speed of evaluation, and the memory for one large photo."""

import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import DataLoader

from mmseg.apis import predictions, test_loader
from mmseg.apis.init_model import get_ready, load_model, without_pretrained
from mmseg.config_check import check_config
from mmseg.datasets.evaluation_sets import own_labelled_set
from mmseg.engine.performance import Performance
from mmseg.evaluation import IoUMetric
from mmseg.registry import MODELS
from mmseg.utils import InputError, built_from_config
from mmseg.utils.memory import freed_memory_kept
from mmseg.utils.phases import PhaseClock, phase
from tools.common.options import fast_switches
from tools.common.processes import end_with_parent
from tools.prediction.predict import PredictionFiles, predict

from .data_files import FILES, STAND_INS
from .inference import EvaluationSettings
from .machine import machine
from .measure import peak_memory, title
from .step import note, quiet

SEED = 0


# The plain setting of `--compare`.
PLAIN = EvaluationSettings(fold_batch_norm=False, keep_memory=False)


def fast_setting(device_type: str) -> EvaluationSettings:
    """Return the setting that is compared with ``PLAIN`` on ``cuda`` or ``cpu``.

    On a CPU, predicting an image keeps all cores busy for a hundred times as long as loading it:
    workers would save nothing and, forked when the network is warm, make it copy its memory page by
    page.
    """
    precision = fast_switches(device_type)["precision"]
    if device_type == "cuda":
        return EvaluationSettings(batch_size=4, workers=4, precision=precision, channels_last=True)
    return EvaluationSettings(precision=precision, channels_last=True)


@contextmanager
def images_to_evaluate(
    cfg: Config, count: int, size: tuple[int, int] | None, files: int = FILES
) -> Iterator[Config]:
    """Yield a config whose ``test_dataloader`` has this many labelled images.

    Args:
        cfg: config, which is not changed; its test or validation data are used if they exist.
        count: number of images; all if there are fewer.
        size: (width, height); if given, or if there are no data, street scenes are drawn in the
            format of Cityscapes, by default of its size. Only a few, which are read repeatedly.
        files: number of images to draw.

    Raises:
        InputError: if the config has no data to test on.
    """
    cfg = Config({**cfg.to_dict(), "test_dataloader": own_labelled_set(cfg).cfg.test_dataloader})
    dataset = cfg.test_dataloader.dataset
    if size is None and Path(dataset.get("data_root", "")).is_dir():
        dataset.indices = count
        yield cfg
        return
    stand_in = STAND_INS["CityscapesDataset"]
    width, height = size or stand_in.size
    with tempfile.TemporaryDirectory() as folder:
        note(f"drawing {files} images of {width}x{height}")
        stand_in.drawn(Path(folder), (width, height), files)
        cfg.test_dataloader.dataset = {
            "type": "CityscapesDataset",
            "data_root": folder,
            "data_prefix": {"img_path": "leftImg8bit/train", "seg_map_path": "gtFine/train"},
            "indices": [index % files for index in range(count)],
            "pipeline": dataset.get("pipeline", []),
            "test_mode": True,
        }
        yield cfg


def measure_apart(cfg: Config, *arguments: Any) -> dict[str, Any]:
    """Run :func:`measure_evaluation` in a new process, so that its peak memory is meaningful."""
    start = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=start, initializer=end_with_parent) as pool:
        result = pool.submit(_measure, cfg.to_dict(), *arguments).result()
    return result | {"title": title(cfg)}


def _measure(cfg: Mapping[str, Any], *arguments: Any) -> dict[str, Any]:
    # Start workers by the default method, not by that of this process.
    multiprocessing.set_start_method(None, force=True)
    return measure_evaluation(Config(cfg), *arguments)


def measure_evaluation(
    cfg: Config, checkpoint: str | None, setting: EvaluationSettings, device: torch.device
) -> dict[str, Any]:
    """Time the evaluation on the config's ``test_dataloader``, after one batch of each size.

    Args:
        cfg: a config from :func:`images_to_evaluate`.
        checkpoint: checkpoint file; None: random weights, always the same.

    Returns:
        ``title``, ``machine``, ``setting`` and the number of ``images``; of the evaluation,
        ``seconds``, ``images_per_second``, ``parts`` (seconds per image; on a GPU, waiting may
        overlap with its work), ``peak_memory_mib`` and ``scores``.
    """
    init_default_scope("mmseg")
    check_config(cfg, ("model", "test_dataloader"))
    model = _model(cfg, checkpoint, setting, device)
    cfg.test_dataloader.num_workers = setting.workers
    loader = _TimedLoader(test_loader(cfg, True, setting.batch_size, device.type))
    dataset = loader.loader.dataset
    metric = IoUMetric()
    metric.dataset_meta = dataset.metainfo
    clock = PhaseClock(device)
    with freed_memory_kept(device.type == "cpu" and setting.keep_memory):
        _warm_up(model, loader.loader, device)
        start = time.perf_counter()
        with clock:
            for sample in predictions(model, loader, setting.describe()):
                with phase("metric"):
                    metric.process(None, [sample.to_dict()])
    parts = {"waiting for images": loader.waited, **clock.seconds()}
    scores = metric.evaluate(len(dataset))
    seconds = time.perf_counter() - start
    parts["rest"] = max(0.0, seconds - sum(parts.values()))
    return {
        "benchmark": "inference",
        "title": title(cfg),
        "machine": machine(device),
        "setting": asdict(setting),
        "images": len(dataset),
        "image_size": list(reversed(sample.ori_shape)),
        "test_size": list(reversed(sample.img_shape)),
        "seconds": seconds,
        "images_per_second": len(dataset) / seconds,
        "parts": {name: spent / len(dataset) for name, spent in parts.items()},
        "peak_memory_mib": peak_memory(device),
        "scores": scores,
    }


def _model(
    cfg: Config, checkpoint: str | None, setting: EvaluationSettings, device: torch.device
) -> nn.Module:
    if checkpoint:
        model = load_model(cfg, checkpoint)
    else:
        torch.manual_seed(SEED)
        with quiet(), built_from_config("model"):
            model = MODELS.build(without_pretrained(cfg.model))
            model.init_weights()
    performance = Performance(setting.precision, setting.compile, setting.channels_last)
    get_ready(model, device, performance, setting.fold_batch_norm)
    return model


def _warm_up(model: nn.Module, loader: DataLoader, device: torch.device) -> None:
    """Run the network once on each batch size that will occur."""
    whole = min(loader.batch_size, len(loader.dataset))
    for count in {whole, len(loader.dataset) % loader.batch_size} - {0}:
        batch = loader.collate_fn([loader.dataset[index] for index in range(count)])
        with torch.no_grad():
            model.test_step(batch)
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


class _TimedLoader:
    """A data loader that counts the seconds ``waited`` for its batches."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        self.waited = 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        start = time.perf_counter()
        for batch in self.loader:
            self.waited += time.perf_counter() - start
            yield batch
            start = time.perf_counter()
        self.waited += time.perf_counter() - start


def measure_photo(cfg: Config, checkpoint: str | None, side: int, device: torch.device) -> str:
    """Predict a square photo in a new process, so that its peak memory is meaningful.

    Args:
        cfg: config with ``model`` and ``test_dataloader``.
        checkpoint: checkpoint file; None: random weights, which take the same memory.
        side: side of the photo in pixels.
        device: device that predicts.

    Returns:
        A line with the peak memory and the seconds.

    Raises:
        InputError: if ``side`` is less than 1.
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
    """Make a smooth picture, (side, side, 3) uint8, which gives a small file."""
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
