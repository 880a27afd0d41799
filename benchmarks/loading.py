"""Measure the data loader of a training config."""

import copy
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from mmseg.config_check import check_config
from mmseg.datasets import UDADataset
from mmseg.datasets.loader import build_dataloader, loader_errors, tensors_of
from mmseg.utils import built_from_config

from .machine import machine
from .measure import title
from .step import note

# Descriptions of transforms; others are named by their class.
STAGES = {
    "LoadImageFromFile": "decode image",
    "LoadAnnotations": "decode label",
    "Resize": "resize",
    "RandomCrop": "crop",
    "RandomFlip": "flip",
    "PackSegInputs": "pack",
}
SEED = 0

Seconds = dict[str, dict[str, float]]
"""Seconds by domain, then by stage."""


def measure_loading(
    cfg: Config, workers: int | None, batches: int, step_seconds: float
) -> dict[str, Any]:
    """Measure the loader of ``cfg.train_dataloader``.

    First, ``batches`` samples are made one by one in this process, as a worker makes them, and the
    transforms are timed. Then the same number of batches is taken from the workers as fast as they
    come, and the same number again by a step that only sleeps.

    Args:
        cfg: a whole training config whose data exist; it is not changed.
        workers: number of loading processes; None: as in the config.
        batches: number of batches to measure.
        step_seconds: duration of the step.

    Returns:
        What was run (``benchmark``, ``title``, ``machine``, ``batch_size``, ``workers``, ...) and
        numbers: ``stages``, seconds a sample by domain and stage; ``worker_images_per_second`` and
        ``images_per_second``; ``wait`` of a step in seconds; ``idle_share``, the share of the time
        that the device would wait; ``bytes``, ``tensors`` and ``pinned`` of a batch.

    Raises:
        InputError: if the loader cannot be built, or its data are missing or damaged.
    """
    check_config(cfg, ("train_dataloader",))
    # As mmengine's Runner does it: threads of OpenCV would compete with the other workers.
    set_multi_processing(**(cfg.get("env_cfg") or {}).get("mp_cfg", {}))
    loader = build_loader(cfg, workers)
    note(f"loading {batches} samples in one process")
    stages, worker_rate = time_stages(loader, batches)
    note(f"loading {2 * batches} batches with {loader.num_workers} workers")
    with loader_errors():
        rate, waits, batch = time_workers(loader, batches, step_seconds)
    tensors = list(tensors_of(batch))
    return {
        "benchmark": "data",
        "title": title(cfg),
        "machine": machine(torch.device("cpu")) | {"cores": os.cpu_count()},
        "batch_size": loader.batch_size,
        "workers": loader.num_workers,
        "prefetch_factor": loader.prefetch_factor,
        "batches": batches,
        "step_seconds": step_seconds,
        "stages": stages,
        "worker_images_per_second": worker_rate,
        "images_per_second": rate,
        "wait": {
            "median": float(np.median(waits)),
            "p90": float(np.percentile(waits, 90)),
            "each": waits,
        },
        "idle_share": sum(waits) / (sum(waits) + batches * step_seconds),
        "bytes": sum(tensor.nbytes for tensor in tensors),
        "tensors": len(tensors),
        "pinned": sum(tensor.is_pinned() for tensor in tensors) if loader.pin_memory else 0,
    }


def build_loader(cfg: Config, workers: int | None = None) -> DataLoader:
    """Build the config's ``train_dataloader``, with pinned memory only if there is a GPU."""
    init_default_scope("mmseg")
    settings = copy.deepcopy(cfg.train_dataloader)
    if workers is not None:
        settings.num_workers = workers
    settings.pin_memory = settings.get("pin_memory", False) and torch.cuda.is_available()
    with built_from_config("train_dataloader"):
        return build_dataloader(settings, seed=SEED)


def time_stages(loader: DataLoader, samples: int) -> tuple[Seconds, float]:
    """Make samples in this process on one thread, like a worker, and time the stages.

    Returns:
        Mean seconds per sample by domain and stage, with the work for no single domain under
        ``both``; and the number of images made per second.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _timed_transforms(loader.dataset) as spent:
            made, images = [], 0
            start = time.perf_counter()
            for index in islice(loader.sampler, samples):
                made.append(loader.dataset[index])
                images += len(made[-1])
                if len(made) == loader.batch_size:
                    with _timed(spent["both"], "collate"):
                        loader.collate_fn(made)
                    made = []
            total = time.perf_counter() - start
    finally:
        torch.set_num_threads(threads)
    measured = sum(sum(stages.values()) for stages in spent.values())
    spent["both"]["rest"] = total - measured
    means = {
        domain: {stage: seconds / samples for stage, seconds in stages.items()}
        for domain, stages in spent.items()
    }
    return means, images / total


@contextmanager
def _timed_transforms(dataset: UDADataset) -> Iterator[Seconds]:
    """Yield a counter of the seconds that the transforms of both domains take."""
    pipelines = {"source": dataset.source.pipeline}
    if dataset.target is not None:
        pipelines["target"] = dataset.target.pipeline
    spent: Seconds = {domain: {} for domain in (*pipelines, "both")}
    originals = {domain: pipeline.transforms for domain, pipeline in pipelines.items()}
    for domain, pipeline in pipelines.items():
        pipeline.transforms = [_Stage(each, spent[domain]) for each in pipeline.transforms]
    try:
        yield spent
    finally:
        for domain, pipeline in pipelines.items():
            pipeline.transforms = originals[domain]


class _Stage:
    """A transform that is timed."""

    def __init__(self, transform: Callable[[dict], dict], spent: dict[str, float]) -> None:
        name = type(transform).__name__
        self.transform, self.spent, self.name = transform, spent, STAGES.get(name, name)

    def __call__(self, results: dict) -> dict:
        with _timed(self.spent, self.name):
            return self.transform(results)


@contextmanager
def _timed(spent: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - start


def time_workers(
    loader: DataLoader, batches: int, step_seconds: float
) -> tuple[float, list[float], dict]:
    """Take batches as fast as they come, then one for each step that only sleeps.

    Returns:
        The number of images per second, the seconds that each step has waited, and a batch.
    """
    # Skip batches that were prefetched before the clock starts: they would seem to take no time.
    ahead = loader.num_workers * (loader.prefetch_factor or 0)
    stream = iter(loader)
    for _ in range(ahead + 1):
        next(stream)
    start = time.perf_counter()
    for _ in range(batches):
        batch = next(stream)
    seconds = time.perf_counter() - start
    waits = []
    for _ in range(ahead + batches):
        start = time.perf_counter()
        next(stream)
        waits.append(time.perf_counter() - start)
        time.sleep(step_seconds)
    return batches * loader.batch_size * len(batch) / seconds, waits[ahead:], batch
