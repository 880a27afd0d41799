"""The data of an old config: its data sets, loaders and pipelines."""

import os
from typing import Any

from mmseg.utils.errors import InputError

from .section import Section

# For GPUs. Images of one size are predicted together, which changes no result.
TEST_BATCH_SIZE = 4


class Preprocessing:
    """What old pipelines do to each image and the model does here: normalise and pad.

    There is one way for all of them.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def add(self, step: Section, settings: dict[str, Any]) -> None:
        """Take over the settings of a step.

        Raises:
            InputError: another pipeline has others.
        """
        for key, value in settings.items():
            if self.settings.setdefault(key, value) != value:
                raise InputError(
                    f"{step.path} differs from the same step of another pipeline ({key} is {value} "
                    f"instead of {self.settings[key]}), but the model preprocesses all images alike"
                )

    def config(self) -> dict[str, Any]:
        """The config of the model's ``data_preprocessor``."""
        return {"type": "SegDataPreProcessor", **self.settings, "non_blocking": True}


def data_settings(old: Section) -> tuple[dict[str, Any], dict[str, Any]]:
    """The data loaders and the model's ``data_preprocessor``, from the whole old file."""
    data, preprocessing = old.section("data"), Preprocessing()
    workers = data.take("workers_per_gpu", int)
    loader = {"num_workers": workers, "persistent_workers": workers > 0}
    test_loader = {
        "batch_size": TEST_BATCH_SIZE,
        **loader,
        "pin_memory": True,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
    }
    settings = {
        "train_dataloader": {
            "batch_size": data.take("samples_per_gpu", int),
            **loader,
            "pin_memory": True,
            "sampler": {"type": "UDASampler"},
            "dataset": _training_set(old, preprocessing),
        }
    }
    for part in ("val", "test"):
        dataset = _test_set(data.section(part), preprocessing)
        settings[f"{part}_dataloader"] = {**test_loader, "dataset": dataset}
    return settings, preprocessing.config()


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
        steps = [_step(step, preprocessing) for step in section.sections("pipeline")]
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


def _test_set(dataset: Section, preprocessing: Preprocessing) -> dict[str, Any]:
    translated = _dataset(dataset)
    labelled = "seg_map_path" in translated["data_prefix"]
    return {
        **translated,
        "pipeline": _test_pipeline(dataset, labelled, preprocessing),
        "test_mode": True,
    }


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


def _step(step: Section, preprocessing: Preprocessing) -> dict[str, Any] | None:
    """A step of a pipeline that is trained on; None: the model or ``PackSegInputs`` does it."""
    name = step.take("type", str)
    if name in ("LoadImageFromFile", "LoadAnnotations"):
        return {"type": name}
    if name == "Resize":
        keep_ratio = step.take("keep_ratio", bool, True)
        return {"type": name, "scale": _scale(step), "keep_ratio": keep_ratio}
    if name == "RandomCrop":
        ratio = step.take("cat_max_ratio", default=1.0)
        return {"type": name, "crop_size": step.take("crop_size"), "cat_max_ratio": ratio}
    if name == "RandomFlip":
        return {"type": name, "prob": step.take("prob")}
    if name not in ("Normalize", "Pad", "DefaultFormatBundle", "ImageToTensor", "Collect"):
        raise InputError(f"{step.where('type')} is {name!r}, which has no translation")
    _preprocess(name, step, preprocessing)
    return None


def _scale(step: Section) -> Any:
    """Width and height; a list of several is a choice that is not made here."""
    scale = step.take("img_scale", (list, tuple))
    if len(scale) != 2 or not all(isinstance(side, int) for side in scale):
        raise InputError(f"{step.where('img_scale')} must be one width and height, not {scale}")
    return scale


def _preprocess(name: str, step: Section, preprocessing: Preprocessing) -> None:
    if name == "Normalize":
        bgr_to_rgb = step.take("to_rgb", bool, True)
        settings = {"mean": step.take("mean"), "std": step.take("std"), "bgr_to_rgb": bgr_to_rgb}
        preprocessing.add(step, settings)
    elif name == "Pad":
        settings = {"size": step.take("size"), **step.take_all("pad_val", "seg_pad_val")}
        preprocessing.add(step, settings)


def _test_pipeline(
    dataset: Section, labelled: bool, preprocessing: Preprocessing
) -> list[dict[str, Any]]:
    """Loading, and the one size and no flip of ``MultiScaleFlipAug``."""
    steps = dataset.sections("pipeline")
    names = [step.take("type", str) for step in steps]
    if names != ["LoadImageFromFile", "MultiScaleFlipAug"]:
        raise InputError(
            f"{dataset.where('pipeline')} must be LoadImageFromFile and MultiScaleFlipAug, not "
            f"{', '.join(names) or 'empty'}"
        )
    augmentation = steps[1]
    augmentation.only("flip", False, required=False)
    resize = {"type": "Resize", "scale": _scale(augmentation), "keep_ratio": True}
    for step in augmentation.sections("transforms"):
        name = step.take("type", str)
        if name == "Resize":
            resize["keep_ratio"] = step.take("keep_ratio", bool, True)
        elif name in ("Normalize", "ImageToTensor", "Collect"):
            _preprocess(name, step, preprocessing)
        elif name != "RandomFlip":  # which flips nothing here
            raise InputError(f"{step.where('type')} is {name!r}, which has no translation")
    # Behind the resize: the labels stay at their own size, where the metric is taken.
    labels = [{"type": "LoadAnnotations"}] if labelled else []
    return [{"type": "LoadImageFromFile"}, resize, *labels, {"type": "PackSegInputs"}]
