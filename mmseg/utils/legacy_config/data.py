"""Translate the data of an old config: data sets and loaders."""

import os
from typing import Any

from mmseg.utils.errors import InputError

from .pipelines import Preprocessing, is_size, test_pipelines, training_step
from .section import Section

# For GPUs, which predict images of one size together, without changing results.
TEST_BATCH_SIZE = 4
# Width and height of the images that ``crop_pseudo_margins`` refer to, at any scale of training.
CITYSCAPES_SIZE = (2048, 1024)


def loader_settings(data: Section) -> dict[str, Any]:
    """Take the settings that all loaders share."""
    workers = data.take("workers_per_gpu", int)
    return {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": True}


def test_loaders(
    data: Section, shared: dict[str, Any], preprocessing: Preprocessing
) -> dict[str, Any]:
    """Translate the loaders for validation and test, if the old ``data`` has them.

    Returns:
        Settings by name, with ``tta_pipeline`` and ``aug_test`` if the old file tests with scales
        or flips.
    """
    loader = {
        "batch_size": TEST_BATCH_SIZE,
        **shared,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
    }
    settings: dict[str, Any] = {}
    for part in ("test", "val"):
        if part not in data.node:
            data.not_for_training.append(f"{data.where(part)} is missing")
            continue
        section = data.section(part)
        dataset = _dataset(section)
        labelled = "seg_map_path" in dataset["data_prefix"]
        plain, augmented = test_pipelines(section, labelled, preprocessing)
        dataset |= {"pipeline": plain, "test_mode": True}
        settings[f"{part}_dataloader"] = {**loader, "dataset": dataset}
        if augmented and part == "test":
            settings |= {"tta_pipeline": augmented, "aug_test": True}
        elif augmented:
            data.not_for_training.append(
                f"{section.where('pipeline')} has several scales or flips, but training evaluates "
                "images as they are"
            )
    return settings


def train_loader(
    old: Section, shared: dict[str, Any], preprocessing: Preprocessing, crop_size: Any = None
) -> dict[str, Any]:
    """Translate the loader for training, from the whole old file.

    Args:
        old: the file.
        shared: settings of :func:`loader_settings`.
        preprocessing: the settings of all pipelines so far.
        crop_size: (height, width) of the method's crops of the target; None: it takes none.
    """
    data = old.section("data")
    return {
        "batch_size": data.take("samples_per_gpu", int),
        **shared,
        "sampler": {"type": "UDASampler"},
        "dataset": _training_set(old, preprocessing, crop_size),
    }


def _training_set(old: Section, preprocessing: Preprocessing, crop_size: Any) -> dict[str, Any]:
    train = old.section("data").section("train")
    train.only("type", "UDADataset")
    train.only("sync_crop_size", None, required=False)
    source, target = train.section("source"), train.section("target")
    translated = {
        "type": "UDADataset",
        "source": _dataset(source),
        "target": _dataset(target, labelled=False),
        "rare_class_sampling": train.take("rare_class_sampling", (dict, type(None)), None),
    }
    for name, section in (("source", source), ("target", target)):
        steps = [training_step(step, preprocessing) for step in section.sections("pipeline")]
        kept = [step for step in steps if step]
        if name == "target":
            kept = [step for step in kept if step["type"] != "LoadAnnotations"]
            kept += _ignored_margins(section, translated[name]["type"])
        translated[name]["pipeline"] = [*kept, {"type": "PackSegInputs"}]
    uda = old.section("uda")
    translated["target"]["ignored_edges"] = _ignored_edges(uda, translated["target"], crop_size)
    folder = uda.take("corresp_root", (str, type(None)), None)
    if folder is not None:
        translated["target"]["corresp"] = _below(folder, translated["target"]["data_root"])
    return translated


def _ignored_edges(uda: Section, target: dict[str, Any], crop_size: Any) -> tuple[float, ...]:
    """Take the ignored rows, as shares of the height of the target's crops."""
    rows = [uda.take(f"pseudo_weight_ignore_{edge}", int) for edge in ("top", "bottom")]
    crops = [step["crop_size"] for step in target["pipeline"] if step["type"] == "RandomCrop"]
    size: Any = crop_size or next(iter(crops), None)
    if not any(rows):
        return (0.0, 0.0)
    if not is_size(size):
        raise InputError(
            f"{uda.path} ignores {rows} rows of the target's crops, whose size must be a height "
            f"and a width, not {size}"
        )
    return tuple(each / size[0] for each in rows)


def _ignored_margins(target: Section, name: str) -> list[dict[str, Any]]:
    """Translate the pixels of Cityscapes images, at their own size, that are not trusted."""
    if name != "CityscapesDataset":
        return []
    margins = target.take("crop_pseudo_margins", (list, tuple, type(None)), None)
    if margins is None:
        return []
    if len(margins) != 4 or not all(isinstance(each, int) for each in margins):
        raise InputError(
            f"{target.where('crop_pseudo_margins')} must be the rows at the top and bottom and the "
            f"columns at the left and right, not {margins}"
        )
    width, height = CITYSCAPES_SIZE
    sides = zip(margins, (height, height, width, width), strict=True)
    return [{"type": "IgnoreMargins", "margins": tuple(each / side for each, side in sides)}]


def _below(folder: str, data_root: str) -> str:
    """Make ``folder`` relative to the data root, or absolute if it is elsewhere."""
    root = data_root.rstrip("/") + "/"
    if data_root and folder.startswith(root):
        return folder.removeprefix(root).rstrip("/")
    return os.path.abspath(folder)


def _dataset(dataset: Section, labelled: bool = True) -> dict[str, Any]:
    """Translate a data set without its pipeline, and without labels unless ``labelled``."""
    name = dataset.take("type", str)
    prefix = {"img_path": _folder(dataset.take("img_dir", str))}
    if labelled:
        folder = dataset.take("ann_dir", (str, type(None)), None)
        prefix |= {"seg_map_path": _folder(folder)} if folder is not None else {}
    translated = {
        "type": name,
        "data_root": dataset.take("data_root", (str, type(None)), None) or "",
        "data_prefix": prefix,
    }
    if name == "ACDCDataset":
        return translated | _split_of(dataset, prefix)
    translated |= dataset.take_all("img_suffix", "seg_map_suffix")
    split = dataset.take("split", (str, type(None)), None)
    return translated | ({"ann_file": split} if split else {})


def _folder(path: str) -> str:
    return path.rstrip("/") or path


def _split_of(dataset: Section, prefix: dict[str, str]) -> dict[str, Any]:
    """Translate folders of ACDC: the old ones name the split, and the data set here selects it."""
    folders = {key: os.path.split(folder) for key, folder in prefix.items()}
    splits = {split for _, split in folders.values()}
    if len(splits) != 1 or not splits <= {"train", "val", "test"}:
        raise InputError(
            f"{dataset.path} has the folders {' and '.join(prefix.values())}, but those of ACDC "
            "must end with one of train, val and test, the same for images and labels"
        )
    return {
        "data_prefix": {key: folder for key, (folder, _) in folders.items()},
        "split": splits.pop(),
    }
