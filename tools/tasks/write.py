"""Write the config of a task: short, with what a user may change at its top."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from experiments import BASES, METHODS, NETWORKS
from tools.convert_datasets.label_folders import Folders

from .backbones import TimmBackbone
from .labels import Meaning
from .settings import Scales

_WIDTH = 100


class Code(str):
    """Python code in a config, as the name of a variable."""

    __slots__ = ()


_CLASSES, _SIZE, _NUM = Code("metainfo"), Code("crop_size"), Code('len(metainfo["classes"])')


@dataclass(frozen=True)
class Task:
    """All that a config says.

    Attributes:
        network: key of ``NETWORKS``.
        backbone: backbone that replaces the network's; None: that one.
        method: key of ``METHODS``.
        source: images and label maps of the source.
        target: images of the target.
        val: labelled images of the target; None: none.
        meaning: classes and label maps of the source.
        val_coding: what the label maps of ``val`` hold, as ``coding`` of ``meaning``.
        absent: classes that the source lacks.
        scales: sizes in training.
        is_uniform: whether all images of the target have one size.
        iterations: length of the training.
        interval: iterations from one evaluation and checkpoint to the next.
        sampling: settings of rare class sampling; None: draw uniformly.
    """

    network: str
    backbone: TimmBackbone | None
    method: str
    source: Folders
    target: Folders
    val: Folders | None
    meaning: Meaning
    val_coding: Mapping[str, Any]
    absent: Sequence[str]
    scales: Scales
    is_uniform: bool
    iterations: int
    interval: int
    sampling: Mapping[str, float] | None

    @property
    def crops_whole_targets(self) -> bool:
        """Whether the method crops the target, which needs images of one size in a batch.

        With HRDA the data crop it, as in its release: whole images take much memory.
        """
        is_hrda = self.network.startswith("hrda")
        return self.method.startswith("sepico") and self.is_uniform and not is_hrda

    @property
    def network_title(self) -> str:
        """Name the decoder and the backbone."""
        network = NETWORKS[self.network]
        backbone = self.backbone.config["model_name"] if self.backbone else network.encoder
        return f"{network.decoder} on {backbone}"


def config_text(task: Task, folder: Path) -> str:
    """Write the text of a config.

    Args:
        task: what the config says.
        folder: folder of the file, which the paths of its bases are relative to.
    """
    network, method = NETWORKS[task.network], METHODS[task.method]
    bases = ("default_runtime", f"models/{network.model}", "datasets/uda", f"uda/{method.config}")
    names = [os.path.relpath(BASES / f"{base}.py", folder) for base in (*bases, "schedules/adamw")]
    metainfo: dict[str, Any] = {"classes": task.meaning.classes}
    if task.meaning.palette:
        metainfo["palette"] = task.meaning.palette
    scales = {"source_scale": task.scales.source, "target_scale": task.scales.target}
    parts = [
        ("", {"_base_": names, "metainfo": metainfo}),
        ("Height and width of crops: multiples of 32.", {"crop_size": (task.scales.crop,) * 2}),
        ("Longer and shorter side that images are resized to fit into.", scales),
        ("", {"iterations": task.iterations}),
        ("Iterations from one checkpoint and evaluation to the next.", {"interval": task.interval}),
        ("", {"source_pipeline": _source_pipeline(), "target_pipeline": _target_pipeline(task)}),
        ("", {"test_pipeline": _test_pipeline(labelled=task.val is not None)}),
        ("", {"train_dataloader": {"dataset": _train_data(task)}}),
        *_evaluation(task),
        ("", _model(task)),
        ("", _schedule(task)),
    ]
    head = (
        f"# {method.title} with {task.network_title}, from\n"
        f"# {task.source.describe()} to {task.target.describe()}.\n"
        "# Written by tools.new_task. The schedule follows the iterations as in the paper.\n"
    )
    return head + "".join(
        (f"# {comment}\n" if comment else "")
        + "".join(f"{name} = {literal(value, len(name) + 3)}\n" for name, value in part.items())
        for comment, part in parts
        if part
    )


def _source_pipeline() -> list[dict]:
    return [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "Resize", "scale": Code("source_scale"), "keep_ratio": True},
        {"type": "RandomCrop", "crop_size": _SIZE, "cat_max_ratio": 0.75},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PackSegInputs"},
    ]


def _target_pipeline(task: Task) -> list[dict]:
    crop = {"type": "RandomCrop", "crop_size": _SIZE, "cat_max_ratio": 1.0}
    return [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": Code("target_scale"), "keep_ratio": True},
        *([] if task.crops_whole_targets else [crop]),
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PackSegInputs"},
    ]


def _test_pipeline(labelled: bool) -> list[dict]:
    return [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": Code("target_scale"), "keep_ratio": True},
        *([{"type": "LoadAnnotations"}] if labelled else []),
        {"type": "PackSegInputs"},
    ]


def _train_data(task: Task) -> dict:
    absent = {"absent_classes": list(task.absent)} if task.absent else {}
    source = {
        "type": "FolderDataset",
        **task.source.arguments(),
        "metainfo": _CLASSES,
        **task.meaning.coding,
        **absent,
        "pipeline": Code("source_pipeline"),
    }
    target = {
        "type": "FolderDataset",
        **task.target.arguments(labelled=False),
        "pipeline": Code("target_pipeline"),
    }
    data = {"source": source, "target": target, "rare_class_sampling": task.sampling}
    if "target" in data_settings(task.method) and not data_settings(task.method)["target"]:
        data["target"] = None
    return data


def data_settings(method: str) -> dict[str, Any]:
    """Return what a method says of the data: no target, or no rare class sampling."""
    return METHODS[method].settings.get("train_dataloader", {}).get("dataset", {})


def _evaluation(task: Task) -> list[tuple[str, dict]]:
    """Write the data to evaluate on: labelled ones, or else the target to be predicted."""
    labelled = task.val is not None
    folders = task.val or task.target
    dataset = {
        "type": "FolderDataset",
        **folders.arguments(labelled),
        "metainfo": _CLASSES,
        **(task.val_coding if labelled else {}),
        "pipeline": Code("test_pipeline"),
        "test_mode": True,
    }
    if labelled:
        loaders = {
            "val_dataloader": {"dataset": dataset},
            "test_dataloader": Code("val_dataloader"),
        }
        return [("", loaders)]
    loaders = {"test_dataloader": {"dataset": dataset}, "val_dataloader": None, "validate": False}
    return [("No labels to validate with: these images can only be predicted.", loaders)]


def _model(task: Task) -> dict:
    """Write what differs from the bases in network, method, normalisation and optimizer."""
    merged = ConfigDict(NETWORKS[task.network].settings)
    if task.backbone:  # it replaces the network's own, with its channels and normalisation
        for part in ("segmentor", "data_preprocessor"):
            merged.pop(part, None)
    normalisation = task.backbone.normalisation if task.backbone else {}
    preprocessor = {"size": _SIZE, **normalisation}
    merged.merge(ConfigDict({"data_preprocessor": preprocessor, **_network(task)}))
    return merged.to_dict()


def _network(task: Task) -> dict:
    """Write the numbers of classes and the sizes of networks and methods."""
    base = Config.fromfile(BASES / "models" / f"{NETWORKS[task.network].model}.py").to_dict()
    method = Config.fromfile(BASES / "uda" / f"{METHODS[task.method].config}.py").to_dict()
    segmentor = _fitted(base["segmentor"], task.backbone)
    if task.backbone:
        segmentor["backbone"] = task.backbone.settings
    half = Code("tuple(side // 2 for side in crop_size)")
    if "detail_size" in base["segmentor"]:
        segmentor["detail_size"] = half
    if base["segmentor"]["test_cfg"]["mode"] == "slide":
        segmentor["test_cfg"] = {"crop_size": _SIZE, "stride": half}
    model = _fitted(method["model"])
    terms = method["model"].get("terms", {})
    if "feature_distance" in terms:  # the classes of the base are those of Cityscapes
        model.setdefault("terms", {})["feature_distance"] = {"classes": None}
    if "mic" in terms:
        model.setdefault("terms", {})["mic"] = {"block_size": Code("crop_size[0] // 16")}
    if task.method.startswith("sepico"):
        model["prototypes"]["feature_dim"] = base["segmentor"]["auxiliary_head"]["channels"]
        model["start_contrast_iter"] = Code("iterations * 3 // 40")
        model["crop_size"] = _SIZE
        if not task.crops_whole_targets:
            model["pseudo_crop"] = False
    return {"segmentor": segmentor} | ({"model": model} if model else {})


def _fitted(part: Mapping[str, Any], backbone: TimmBackbone | None = None) -> dict:
    """Copy what a config says of the number of classes, and of the backbone's channels, adapted."""
    copied: dict = {}
    for key, value in part.items():
        if key == "num_classes":
            copied[key] = _NUM
        elif key == "in_channels" and backbone:
            copied[key] = backbone.channels_for(part["in_index"])
        elif isinstance(value, dict) and (inner := _fitted(value, backbone)):
            copied[key] = inner
    return copied


def _schedule(task: Task) -> dict:
    schedules = [
        {"type": "PolyLR", "power": 1.0, "eta_min": 0.0, "by_epoch": False},
        {"type": "LinearLR", "start_factor": 1e-6, "by_epoch": False},
    ]
    schedules[0]["end"] = Code("iterations + 1")
    schedules[1]["end"] = Code("iterations * 3 // 80 + 1")
    interval = {"interval": Code("interval")}
    return {
        "param_scheduler": schedules,
        "train_cfg": {"max_iters": Code("iterations"), "val_interval": Code("interval")},
        "default_hooks": {"checkpoint": interval, "panels": interval},
    }


def literal(value: Any, column: int = 0, margin: int = 0) -> str:
    """Write a value as Python code, in several lines if it is long.

    Args:
        value: numbers, strings, lists, tuples, dicts, None or :class:`Code`.
        column: where in its line it starts.
        margin: where the line starts.
    """
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        named = all(key.isidentifier() for key in value)
        opening, closing = ("dict(", ")") if named else ("{", "}")
        heads = [f"{key}=" if named else f"{literal(key)}: " for key in value]
        items = list(value.values())
    elif isinstance(value, list | tuple):
        opening, closing = ("[", "]") if isinstance(value, list) else ("(", ")")
        heads, items = [""] * len(value), list(value)
    else:
        return repr(value)
    pairs = list(zip(heads, items, strict=True))
    line = opening + ", ".join(head + literal(item, -sys.maxsize) for head, item in pairs) + closing
    if column + len(line) < _WIDTH:
        return line
    inner = margin + 4
    parts = [head + literal(item, inner + len(head) + 1, inner) for head, item in pairs]
    lines = "".join(f"{' ' * inner}{part},\n" for part in parts)
    return f"{opening}\n{lines}{' ' * margin}{closing}"
