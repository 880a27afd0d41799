"""Data sets to evaluate on, by name: ``--dataset cityscapes dark_zurich ...``."""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.utils import InputError
from mmseg.utils.config import load_config


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


def evaluation_sets(
    cfg: Config, names: Sequence[str] = (), data_roots: Mapping[str, str] | None = None
) -> list[EvaluationSet]:
    """Return the data sets of ``--dataset`` and ``--data-root``.

    If the config itself has a labelled data set of the class of a named one, that is used, with its
    folder and its pipeline.

    Args:
        cfg: config of the model, which is not changed.
        names: names in ``EVALUATION_SETS``, or config files whose ``test_dataloader`` is used;
            default: the data set of ``cfg``.
        data_roots: name (of a config file: its stem) -> folder of the data set.

    Raises:
        InputError: if a name is unknown or given twice, or a folder does not exist.
    """
    if not names and not data_roots:
        return [own_set(cfg)]
    sets = [_named(cfg, name) if name in EVALUATION_SETS else _of_file(name) for name in names]
    for values in ([each.name for each in sets], [each.tag for each in sets]):
        if twice := [value for value in values if values.count(value) > 1]:
            raise InputError(f"--dataset names {twice[0]} twice")
    for name, root in (data_roots or {}).items():
        found = [each for each in sets if each.name == name]
        if not found:
            raise InputError(f"--data-root {name}={root}: --dataset does not name {name}")
        found[0].cfg.test_dataloader.dataset.data_root = root
    _check_data_roots(sets)
    return sets


def submission_set(
    cfg: Config, name: str, data_root: str | os.PathLike | None = None
) -> EvaluationSet:
    """Return all images of the test split of a data set.

    If the config itself has a data set of this class, that is used, as in :func:`evaluation_sets`.

    Args:
        cfg: config of the model, which is not changed.
        name: name in ``TEST_SPLITS``.
        data_root: folder of the data set.
    """
    found = _named(cfg, name, labelled=False)
    dataset = found.cfg.test_dataloader.dataset
    for key in ("data_prefix", "ann_file", "indices", "conditions"):  # these select images
        dataset.pop(key, None)
    dataset.update(TEST_SPLITS[name])
    if data_root is not None:
        dataset.data_root = os.fspath(data_root)
    return found


def is_labelled(dataset: Mapping[str, Any]) -> bool:
    """Tell by its config whether a data set has labels; without ``data_prefix`` it may have."""
    if "data_prefix" in dataset:
        return bool((dataset["data_prefix"] or {}).get("seg_map_path"))
    return dataset.get("split") != "test"


def name_of(dataset: Mapping[str, Any]) -> str | None:
    """Return the name in ``EVALUATION_SETS`` of the class in the config of a data set."""
    known = (name for name, each in EVALUATION_SETS.items() if each["type"] == dataset.get("type"))
    return next(known, None)


def _named(cfg: Config, name: str, labelled: bool = True) -> EvaluationSet:
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


def _of_file(path: str) -> EvaluationSet:
    if not Path(path).is_file():
        known = ", ".join(EVALUATION_SETS)
        raise InputError(f"--dataset {path}: unknown; choose from {known} or name a config file")
    other = load_config(path)
    if not isinstance(other.get("test_dataloader"), dict):
        raise InputError(f"--dataset {path}: this config has no test_dataloader")
    stem = Path(path).stem
    return EvaluationSet(stem, stem, _with_loader(other, other.test_dataloader))


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


def _check_data_roots(sets: Sequence[EvaluationSet]) -> None:
    roots = {each.name: each.cfg.test_dataloader.dataset.get("data_root") for each in sets}
    missing = {name: root for name, root in roots.items() if root and not Path(root).is_dir()}
    if missing:
        folders = ", ".join(f"{name} ({root})" for name, root in missing.items())
        raise InputError(
            f"no data for {folders}: link the folders there or give others with "
            f"{' '.join(f'--data-root {name}=DIR' for name in missing)}"
        )
