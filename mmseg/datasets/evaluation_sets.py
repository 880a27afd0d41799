"""Data sets to evaluate on, by name: ``--dataset cityscapes dark_zurich ...``."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from mmseg.utils import InputError


def _evaluation_set(scale: tuple[int, int], **dataset: Any) -> dict[str, Any]:
    """Make the config of a labelled data set whose images are resized to fit ``scale``."""
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": scale, "keep_ratio": True},
        {"type": "LoadAnnotations"},  # after Resize, so that labels keep their size
        {"type": "PackSegInputs"},
    ]
    return {**dataset, "test_mode": True, "pipeline": pipeline}


#: Name -> config of the labelled split, at the resolution of the published results.
EVALUATION_SETS: dict[str, dict[str, Any]] = {
    "cityscapes": _evaluation_set(
        scale=(1280, 640),
        type="CityscapesDataset",
        data_root="data/cityscapes",
        data_prefix={"img_path": "leftImg8bit/val", "seg_map_path": "gtFine/val"},
    ),
    "dark_zurich": _evaluation_set(
        scale=(1280, 720),
        type="DarkZurichDataset",
        data_root="data/dark_zurich",
        data_prefix={"img_path": "rgb_anon/val/night", "seg_map_path": "gt/val/night"},
    ),
    "night_driving": _evaluation_set(
        scale=(1280, 720),
        type="NightDrivingDataset",
        data_root="data/night_driving",
        data_prefix={
            "img_path": "leftImg8bit/test/night",
            "seg_map_path": "gtCoarse_daytime_trainvaltest/test/night",
        },
    ),
    "bdd100k_night": _evaluation_set(
        scale=(1280, 720),
        type="BDD100KNightDataset",
        data_root="data/bdd100k_night",
        ann_file="night.txt",  # names the images of train and val
        data_prefix={"img_path": "images/10k", "seg_map_path": "labels/sem_seg/masks"},
    ),
    "acdc": _evaluation_set(
        scale=(1280, 720),
        type="ACDCDataset",
        data_root="data/acdc",
        split="val",
        data_prefix={"img_path": "rgb_anon", "seg_map_path": "gt"},
    ),
}

#: Name -> config of the split whose labels only a test server has.
TEST_SPLITS: dict[str, dict[str, Any]] = {
    "cityscapes": {"data_prefix": {"img_path": "leftImg8bit/test"}},
    "dark_zurich": {"data_prefix": {"img_path": "rgb_anon/test/night"}},
    "acdc": {"split": "test"},
}


@dataclass(frozen=True)
class EvaluationSet:
    """A data set to test on.

    Attributes:
        name: heading of its results.
        tag: short name for file names.
        cfg: a config with its ``test_dataloader`` and, if it has one, its ``tta_pipeline``.
    """

    name: str
    tag: str
    cfg: Config


def own_set(cfg: Config) -> EvaluationSet:
    """Return the data set of the config's ``test_dataloader``, labelled or not.

    Raises:
        InputError: if the config has no ``test_dataloader``.
    """
    if not isinstance(cfg.get("test_dataloader"), dict):
        raise InputError("the config has no test_dataloader")
    tag = _tag(cfg.test_dataloader.dataset)
    return EvaluationSet(tag, tag, cfg)


def own_labelled_set(cfg: Config) -> EvaluationSet:
    """Return the data set of ``test_dataloader`` or, if only that has labels, ``val_dataloader``.

    For the former, ``cfg`` of the result is the config itself.
    """
    loader = next((each for each in _loaders(cfg) if is_labelled(each.dataset)), None)
    own = loader is None or loader is cfg.get("test_dataloader")
    return own_set(cfg if own else _with_loader(cfg, loader))


def named_set(cfg: Config, name: str, labelled: bool = True) -> EvaluationSet:
    """Return the data set of a name in ``EVALUATION_SETS``.

    If the config itself has a data set of its class, that is used, with its folder and pipeline.

    Args:
        cfg: config of the model, which is not changed.
        name: name in ``EVALUATION_SETS``.
        labelled: whether a data set of the config must have labels to be used.
    """
    dataset = copy.deepcopy(EVALUATION_SETS[name])
    loaders = _loaders(cfg)
    for own in loaders:
        of_its_class = own.dataset.get("type") == dataset["type"]
        if of_its_class and (is_labelled(own.dataset) or not labelled):
            return EvaluationSet(name, _tag(dataset), _with_loader(cfg, own))
    first = loaders[0] if loaders else {}
    loader = {
        "batch_size": first.get("batch_size", 1),
        "num_workers": first.get("num_workers", 2),
        "dataset": dataset,
    }
    return EvaluationSet(name, _tag(dataset), Config({"test_dataloader": loader}))


def is_labelled(dataset: Mapping[str, Any]) -> bool:
    """Tell by its config whether a data set has labels; without ``data_prefix`` it may have."""
    if "data_prefix" in dataset:
        return bool((dataset["data_prefix"] or {}).get("seg_map_path"))
    return dataset.get("split") != "test"


def name_of(dataset: Mapping[str, Any]) -> str | None:
    """Return the name in ``EVALUATION_SETS`` of the class in the config of a data set."""
    known = (name for name, each in EVALUATION_SETS.items() if each["type"] == dataset.get("type"))
    return next(known, None)


def _loaders(cfg: Config) -> list[Any]:
    """Return the configs of the data loaders for testing and validation."""
    loaders = [cfg.get(key) for key in ("test_dataloader", "val_dataloader")]
    return [loader for loader in loaders if isinstance(loader, dict) and "dataset" in loader]


def _with_loader(cfg: Config, loader: Any) -> Config:
    """Return the parts of a config for testing with one of its data loaders."""
    parts = {"test_dataloader": loader, "tta_pipeline": cfg.get("tta_pipeline")}
    return Config(copy.deepcopy({key: value for key, value in parts.items() if value}))


def _tag(dataset: Mapping[str, Any]) -> str:
    return str(dataset.get("type")).removesuffix("Dataset").lower()
