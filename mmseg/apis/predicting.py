"""From a config's test data to predictions."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from torch import nn
from torch.utils.data import DataLoader

from mmseg.datasets.evaluation_sets import TEST_SPLITS, is_labelled, name_of
from mmseg.datasets.loader import build_dataloader
from mmseg.structures import SegDataSample
from mmseg.utils import InputError, built_from_config
from mmseg.utils.jobs import with_progress


@torch.no_grad()
def predictions(
    model: nn.Module, loader: DataLoader, description: str = "predicting"
) -> Iterator[SegDataSample]:
    """Predict what ``loader`` gives, one sample after the other, with a progress bar on stderr.

    Args:
        model: in evaluation mode, as :func:`~mmseg.apis.init_model` gives it.
        loader: as :func:`test_loader` gives it.
        description: stands before the bar.

    Yields:
        Samples with ``pred_sem_seg`` (1, H, W) at the image's own size, and what else the model is
        told to keep.
    """
    # Of several processes, one draws: they are equally far.
    for batch in with_progress(loader, description) if is_main_process() else loader:
        yield from model.test_step(batch)


def test_loader(
    cfg: Config, labelled: bool, batch_size: int | None = None, device: str = "cpu"
) -> DataLoader:
    """The config's ``test_dataloader``; unless ``labelled``, one that never looks for labels.

    In a distributed run each rank gets its share of the images, which may be one image less than
    another's: every image is there once.

    Args:
        cfg: holds ``test_dataloader``; it is not changed.
        labelled: whether labels are needed.
        batch_size: of how many images the network sees at once; the config's by default.
        device: type of the device that predicts. For ``"cuda"`` batches wait in page-locked memory.

    Raises:
        InputError: there is none, or it has no labels though they are needed.
    """
    if batch_size is not None and batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, not {batch_size}")
    if not isinstance(cfg.get("test_dataloader"), dict):
        raise InputError("the config has no test_dataloader")
    loader = copy.deepcopy(cfg.test_dataloader)
    loader.setdefault("sampler", {"type": "DefaultSampler", "shuffle": False})
    if loader.sampler.get("type") == "DefaultSampler":
        loader.sampler |= {"round_up": False, "seed": 0}  # without a seed, ranks would agree on one
    loader.persistent_workers = False  # the data are read once
    loader.pin_memory = device == "cuda"
    if batch_size is not None:
        loader.pop("batch_sampler", None)
        loader.batch_size = batch_size
    if labelled and not is_labelled(loader.dataset):
        raise InputError(_no_labels(loader.dataset))
    if not labelled:
        _drop_labels(loader.dataset)
    with built_from_config("test_dataloader"):
        return build_dataloader(loader)


def _no_labels(dataset: dict[str, Any]) -> str:
    name = name_of(dataset)
    ways_out = [f"--dataset {name} to evaluate on its labelled images"] if name else []
    ways_out.append("--format-only or --out to write the predictions instead")
    if name in TEST_SPLITS:
        ways_out.append("tools.submit for its test server")
    return (
        f"the test data set ({dataset.get('type')}) has no labels (no data_prefix.seg_map_path), "
        f"so it cannot be evaluated: use {'; or '.join(ways_out)}"
    )


def _drop_labels(dataset: dict[str, Any]) -> None:
    if "seg_map_path" in dataset.get("data_prefix", {}):
        dataset["data_prefix"]["seg_map_path"] = None
    if "pipeline" in dataset:
        dataset["pipeline"] = _without_annotations(dataset["pipeline"])


def _without_annotations(pipeline: list[Any]) -> list[Any]:
    """Without ``LoadAnnotations``, also inside of ``TestTimeAug``."""
    kept = []
    for transform in pipeline:
        if transform["type"] == "LoadAnnotations":
            continue
        if transform["type"] == "TestTimeAug":
            branches = [_without_annotations(branch) for branch in transform["transforms"]]
            transform = {**transform, "transforms": [branch for branch in branches if branch]}
        kept.append(transform)
    return kept
