"""Check that the parts of a training config fit together, before anything is written."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from torch import nn

from mmseg.datasets import UDADataset
from mmseg.datasets.samplers import UDASampler
from mmseg.engine.runner import check_num_classes
from mmseg.evaluation import IoUMetric
from mmseg.models.segmentors import segmentors_of
from mmseg.models.utils.label_downscale import downscale_label
from mmseg.registry import DATA_SAMPLERS, DATASETS, METRICS, MODELS
from mmseg.utils import InputError, built_from_config

from .init_model import without_pretrained


def check_together(cfg: Config) -> None:
    """Check that the parts of a config fit together, which signatures cannot say.

    The model is built without memory for its weights, on torch's "meta" device, and runs there on
    images of the training sizes, which takes a fraction of a second.

    Args:
        cfg: a complete config that has passed :func:`~mmseg.config_check.check.check_config`.

    Raises:
        InputError: if samplers that do not fit their data, a best score that is not computed, sizes
            of crops, numbers of classes or of channels that differ, or images that are too small
            for the network.
    """
    _check_samplers(cfg)
    _check_best(cfg)
    try:
        with torch.device("meta"), built_from_config("model"):
            model = MODELS.build(without_pretrained(cfg.model))
    except (RuntimeError, NotImplementedError) as error:
        # A part reads its values, which do not exist on this device. Training will build the real
        # model, and report misfits later.
        if re.search(r"\bmeta\b", str(error), re.IGNORECASE):
            return
        raise
    for dataset in _datasets(cfg):
        kind = DATASETS.get(dataset["type"])
        metainfo = dataset.get("metainfo") or getattr(kind, "METAINFO", {})
        check_num_classes(model, metainfo.get("classes", ()))
    batch = cfg.train_dataloader.get("batch_size", 1)
    sizes = _training_sizes(cfg.model)
    for size in set(sizes.values()):
        _check_maps(model, batch, size, "model.segmentor" if "segmentor" in cfg.model else "model")
    _check_crops(cfg, sizes)


def _check_samplers(cfg: Config) -> None:
    for name in ("train_dataloader", "val_dataloader"):
        loader = cfg.get(name)
        if not loader:
            continue
        for part in ("dataset", "sampler"):
            if part not in loader and "batch_sampler" not in loader:
                raise InputError(f"{name} has no {part}: set {name}.{part} = dict(type=...)")
        if "sampler" not in loader:
            continue
        kind = loader["sampler"].get("type")
        sampler = DATA_SAMPLERS.get(kind) if isinstance(kind, str) else kind
        dataset = DATASETS.get(loader["dataset"]["type"])
        adapts = isinstance(dataset, type) and issubclass(dataset, UDADataset)
        seeded = isinstance(sampler, type) and issubclass(sampler, UDASampler)
        if adapts != seeded:
            raise InputError(
                f"{name}.sampler.type is {kind!r}, but a {loader['dataset']['type']} takes "
                + ("'UDASampler', which draws by the seed" if adapts else "another sampler")
            )
        if name == "val_dataloader" and sampler in (InfiniteSampler, UDASampler):
            raise InputError(
                f"{name}.sampler.type is {kind!r}, which never ends: use DefaultSampler"
            )


def _check_best(cfg: Config) -> None:
    """Check that the score by which the best checkpoint is kept is one of the evaluator's."""
    hook = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    wanted = hook.get("save_best") or []
    evaluators = cfg.get("val_evaluator") or []
    evaluators = [evaluators] if isinstance(evaluators, dict) else evaluators
    names: set[str] = set()
    for evaluator in evaluators:
        kind = METRICS.get(evaluator["type"]) if "type" in evaluator else None
        if not (isinstance(kind, type) and issubclass(kind, IoUMetric)):
            return  # the scores of other metrics are not known in advance
        prefix = f"{evaluator['prefix']}/" if evaluator.get("prefix") else ""
        scores = {"aAcc", "mIoU", "mAcc", *evaluator.get("iou_metrics", ())}
        names |= {prefix + score for score in scores}
    for name in [wanted] if isinstance(wanted, str) else wanted:
        # ``<condition>/mIoU`` depends on the data.
        if names and name != "auto" and name not in names and not name.endswith("/mIoU"):
            raise InputError(
                f"default_hooks.checkpoint.save_best is {name!r}, but val_evaluator computes "
                f"{', '.join(sorted(names))}"
            )


def _check_crops(cfg: Config, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Check that the crops of the source have the size of the model's input."""
    sizes = dict(sizes)
    dataset = cfg.train_dataloader.get("dataset") or {}
    path = "train_dataloader.dataset"
    if "source" in dataset:
        dataset, path = dataset["source"], f"{path}.source"
    for i, transform in enumerate(dataset.get("pipeline") or []):
        if transform.get("type") == "RandomCrop":
            sizes[f"{path}.pipeline.{i}.crop_size"] = tuple(transform["crop_size"])
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} is {size}" for name, size in sizes.items())
        raise InputError(f"sizes of crops (height, width) must be equal, but {listed}")


def _datasets(cfg: Config) -> Iterator[Mapping[str, Any]]:
    """Yield the configs of the labelled data sets of a training."""
    for name in ("train_dataloader", "val_dataloader"):
        dataset = (cfg.get(name) or {}).get("dataset") or {}
        dataset = dataset.get("source") or dataset
        if isinstance(dataset.get("type"), str):
            yield dataset


def _training_sizes(model: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Map settings of the model's config to the sizes (height, width) of training images."""
    sizes = {"model.data_preprocessor.size": (model.get("data_preprocessor") or {}).get("size")}
    if model.get("pseudo_crop", True):
        sizes["model.crop_size"] = model.get("crop_size")
    return {name: tuple(size) for name, size in sizes.items() if size is not None}


def _check_maps(model: nn.Module, batch: int, size: tuple[int, int], path: str) -> None:
    """Run backbone and heads on a batch of images of one size."""
    segmentor = segmentors_of(model)[0] if segmentors_of(model) else None
    if segmentor is None:
        return
    parts = {*segmentor.network_parts()} - {segmentor.backbone}
    heads = {name: module for name, module in segmentor.named_modules() if module in parts}
    contrast: Any = getattr(model, "contrast", None)
    try:
        with torch.no_grad(), torch.device("meta"):
            maps = segmentor.extract_feat(torch.zeros(batch, 3, *size))
            for name, head in heads.items():
                _check_channels(f"{path}.{name}", head, [each.shape[1] for each in maps])
                result = head(maps)
                if name == "auxiliary_head" and contrast is not None:
                    label = torch.zeros(batch, *size, dtype=torch.long)
                    classes = segmentor.num_classes
                    for level in result if isinstance(result, list) else [result]:
                        downscale_label(label, level.shape[-2:], contrast.min_ratio, classes)
    except InputError:
        raise
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"images of {size[0]}x{size[1]} (height x width) do not go through the model: make "
            f"crop_size and the preprocessor's size larger ({reason})"
        ) from error


def _check_channels(path: str, head: nn.Module, channels: Sequence[int]) -> None:
    """Check that the maps that a head reads exist and have its channels."""
    wanted, index = getattr(head, "in_channels", None), getattr(head, "in_index", None)
    if wanted is None or index is None:
        return
    places = [index] if isinstance(index, int) else list(index)
    if any(not -len(channels) <= place < len(channels) for place in places):
        raise InputError(f"{path}.in_index is {index}, but the backbone gives {len(channels)} maps")
    given = [channels[place] for place in places]
    if given != ([wanted] if isinstance(wanted, int) else list(wanted)):
        raise InputError(
            f"{path}.in_channels is {wanted}, but the backbone's maps {index} have "
            f"{given if len(given) > 1 else given[0]} channels"
        )
