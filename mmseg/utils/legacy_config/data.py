"""The data of an old config: its data sets and loaders."""

import os
from typing import Any

from .pipelines import Preprocessing, test_pipelines, training_step
from .section import Section

# For GPUs. Images of one size are predicted together, which changes no result.
TEST_BATCH_SIZE = 4


def worker_settings(data: Section) -> dict[str, Any]:
    """What all loaders say of their worker processes."""
    workers = data.take("workers_per_gpu", int)
    return {"num_workers": workers, "persistent_workers": workers > 0}


def test_loaders(
    data: Section, workers: dict[str, Any], preprocessing: Preprocessing
) -> dict[str, Any]:
    """The loaders of validation and test, as far as the old ``data`` has them.

    Returns:
        Also ``tta_pipeline`` and ``aug_test`` if the old file tests with scales or flips.
    """
    loader = {
        "batch_size": TEST_BATCH_SIZE,
        **workers,
        "pin_memory": True,
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
    old: Section, workers: dict[str, Any], preprocessing: Preprocessing
) -> dict[str, Any]:
    """The loader of training, from the whole old file."""
    data = old.section("data")
    return {
        "batch_size": data.take("samples_per_gpu", int),
        **workers,
        "pin_memory": True,
        "sampler": {"type": "UDASampler"},
        "dataset": _training_set(old, preprocessing),
    }


def _training_set(old: Section, preprocessing: Preprocessing) -> dict[str, Any]:
    train = old.section("data").section("train")
    train.only("type", "UDADataset")
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
        translated[name]["pipeline"] = [*kept, {"type": "PackSegInputs"}]
    uda = old.section("uda")
    rows = [uda.take(f"pseudo_weight_ignore_{edge}", int) for edge in ("top", "bottom")]
    height = uda.node.get("crop_size", (640, 640))[0]
    translated["target"]["ignored_edges"] = tuple(each / height for each in rows)
    folder = uda.take("corresp_root", (str, type(None)), None)
    if folder is not None:
        translated["target"]["corresp"] = _below(folder, translated["target"]["data_root"])
    return translated


def _below(folder: str, data_root: str) -> str:
    """``folder`` seen from the data root, or its absolute path if it is elsewhere."""
    root = data_root.rstrip("/") + "/"
    if data_root and folder.startswith(root):
        return folder.removeprefix(root).rstrip("/")
    return os.path.abspath(folder)


def _dataset(dataset: Section, labelled: bool = True) -> dict[str, Any]:
    """A data set without its pipeline; not ``labelled``: its labels are left alone."""
    prefix = {"img_path": dataset.take("img_dir", str)}
    if labelled:
        folder = dataset.take("ann_dir", (str, type(None)), None)
        prefix |= {"seg_map_path": folder} if folder is not None else {}
    translated = {
        "type": dataset.take("type", str),
        "data_root": dataset.take("data_root", (str, type(None)), None) or "",
        "data_prefix": prefix,
        **dataset.take_all("img_suffix", "seg_map_suffix"),
    }
    split = dataset.take("split", (str, type(None)), None)
    return translated | ({"ann_file": split} if split else {})
