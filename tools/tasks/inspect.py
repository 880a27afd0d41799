"""Look at the folders of a task, and choose what its config says."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments import NETWORKS
from mmseg.datasets import FolderDataset
from mmseg.datasets.folder import CLASSES_FILE, coding_of, read_classes_file
from mmseg.datasets.image_files import UnfitLabel
from mmseg.datasets.occurring_classes import (
    absence_message,
    absent_from,
    check_several,
    is_too_few,
)
from mmseg.datasets.rare_class_sampling import STATS_FILE
from mmseg.utils import InputError
from tools.convert_datasets.conversion import ClassStatistics, counted_dataset
from tools.convert_datasets.conversion.label_files import read_classes
from tools.convert_datasets.label_folders import Folders, find_folders, labelled_folders

from .backbones import TimmBackbone
from .class_names import ClassList, Entry, find_class_list
from .labels import Meaning, Pixels, look_at, meaning_of
from .settings import Sizes, fit_iterations, fit_sampling, fit_scales, sizes_of
from .write import Task, data_settings


@dataclass
class Wishes:
    """What the user says about a task.

    Attributes:
        source: folder of the source.
        target: folder of the target.
        val: folder of labelled images of the target; None: look in ``target``.
        images: folder of the source's images, relative to it; None: look for it.
        labels: folder of the source's label maps, relative to it; None: look for it.
        classes: names of the classes; None: look for them.
        network: key of ``NETWORKS``.
        backbone: name of timm's network to use as its backbone; None: that of ``network``.
        weights: file of the weights of ``backbone``; None: start from random ones.
        method: key of ``METHODS``.
        sample: number of files to look at in each folder.
        nproc: number of processes that count the classes.
    """

    source: str
    target: str
    val: str | None = None
    images: str | None = None
    labels: str | None = None
    classes: Sequence[str] | None = None
    network: str = "daformer"
    backbone: str | None = None
    weights: str | None = None
    method: str = "sepico"
    sample: int = 200
    nproc: int = 4


@dataclass
class Findings:
    """What was found, next to the task that it led to.

    Attributes:
        task: what the config says.
        statistics: classes of the source.
        source_sizes: sizes of a sample of its images.
        target_sizes: the same of the target.
        looked_at: number of label maps of the source that the meaning of its pixels is from.
        doubts: what may be wrong, a line each.
    """

    task: Task
    statistics: ClassStatistics
    source_sizes: Sizes
    target_sizes: Sizes
    looked_at: int
    doubts: list[str] = field(default_factory=list)


def inspect(wishes: Wishes) -> Findings:
    """Look at the folders of a task; write nothing.

    Raises:
        InputError: if images or label maps are missing or cannot be understood.
    """
    _check_network(wishes)
    source = labelled_folders(wishes.source, wishes.images, wishes.labels)
    target = _target_folders(wishes)
    pixels = look_at(_sample(source, wishes.sample))
    meaning = _meaning(source, pixels, wishes.classes)
    doubts = list(meaning.doubts)
    if source.others:
        doubts.append(f"other label maps of the source are not used (--labels): {source.others[0]}")
    val, val_coding = _validation(wishes, meaning, doubts)
    statistics = _statistics(source, meaning, wishes)
    sizes = [
        sizes_of(_image_sample(source, wishes.sample)),
        sizes_of(_image_sample(target, len(target.images))),  # whether all are equal counts
    ]
    scales = fit_scales(*sizes, is_hrda=wishes.network.startswith("hrda"))
    task = Task(
        wishes.network,
        TimmBackbone.find(wishes.backbone, wishes.weights) if wishes.backbone else None,
        wishes.method,
        source,
        target,
        val,
        meaning,
        val_coding,
        [meaning.classes[i] for i in absent_from(meaning.classes, statistics.values)],
        scales,
        sizes[1].is_uniform,
        *fit_iterations(max(len(source.images), len(target.images))),
        _sampling(wishes.method, statistics, sizes[0], scales.source, doubts),
    )
    return Findings(task, statistics, *sizes, len(pixels.paths), doubts)


def _sampling(
    method: str,
    statistics: ClassStatistics,
    sizes: Sizes,
    scale: tuple[int, int],
    doubts: list[str],
) -> dict | None:
    """Fit rare class sampling; None if the method has none, or statistics cannot be written."""
    if "rare_class_sampling" in data_settings(method):
        return None
    if not os.access(statistics.root, os.W_OK):
        doubts.append(
            "rare classes are not drawn more often, since statistics cannot be written to "
            f"{statistics.root}: make it writable, or a folder of links to what is in it"
        )
        return None
    return fit_sampling(statistics, sizes, scale)


def _check_network(wishes: Wishes) -> None:
    if wishes.method.startswith("sepico") and "proj" not in NETWORKS[wishes.network].decoder:
        fitting = ", ".join(name for name, each in NETWORKS.items() if "proj" in each.decoder)
        raise InputError(
            f"--method {wishes.method} needs a network with a projection: --network {fitting}"
        )


def _target_folders(wishes: Wishes) -> Folders:
    """Find the images to adapt to; their labels are not used."""
    found = find_folders(wishes.target)
    return next(found[split] for split in ("train", "", "test", "val") if split in found)


def _validation(
    wishes: Wishes, meaning: Meaning, doubts: list[str]
) -> tuple[Folders | None, Mapping[str, Any]]:
    """Find labelled images of the target, and how to read their label maps.

    Raises:
        InputError: if the folder that the user names has none, or they cannot be read.
    """
    found = find_folders(wishes.val or wishes.target)
    splits = ("val", "test", "", "train") if wishes.val else ("val", "test")
    labelled = [found[s] for s in splits if s in found and found[s].seg_map_path is not None]
    if not labelled:
        if wishes.val:
            raise InputError(f"--val {wishes.val}: no label maps fit its images")
        doubts.append(
            f"{wishes.target} has no split val with labels, so there are no scores: --val names "
            "a folder of labelled images of the target"
        )
        return None, {}
    if not wishes.val and labelled[0].split == "test":
        doubts.append("validation uses the test split of the target, which has labels")
    try:
        coding = _coding_of_val(labelled[0], meaning, wishes.sample)
    except InputError as error:
        if wishes.val:
            raise
        doubts.append(f"there are no scores, since {labelled[0].describe()} do not fit: {error}")
        return None, {}
    if coding is not meaning.coding:
        lost = set(meaning.classes).difference(coding["label_map"].values())
        doubts.append(
            f"label maps of {labelled[0].describe()} are read by the names of the classes"
            + (f"; they have no {', '.join(sorted(lost))}" if lost else "")
        )
    return labelled[0], coding


def _coding_of_val(folders: Folders, meaning: Meaning, sample: int) -> Mapping[str, Any]:
    """Choose how to read label maps that may differ from those of the source.

    If there is a list of their classes, names count; otherwise values are those of the source.
    """
    paths = _sample(folders, sample)
    own = _meaning(folders, look_at(paths), None)
    if not own.is_invented and (own.classes, own.coding) != (meaning.classes, meaning.coding):
        coding = _translated(own, meaning.classes)
        if coding["label_map"]:
            return coding
    how = coding_of(meaning.classes, meaning.palette or (), meaning.coding)
    try:
        for path in paths:
            read_classes(path, len(meaning.classes), how)
    except UnfitLabel as error:
        raise InputError(
            f"{error}; a file {CLASSES_FILE} in {folders.root} with names of the source's classes "
            "can say what its label maps hold"
        ) from error
    return meaning.coding


def _translated(own: Meaning, classes: Sequence[str]) -> dict[str, Any]:
    """Name the classes of the source for the pixels of other label maps; ignore the rest."""
    kind = own.coding.get("labels", "indices")
    targets = own.coding.get("label_map")
    if targets is None and kind == "colors":
        targets = {" ".join(map(str, color)): i for i, color in enumerate(own.palette or ())}
    elif targets is None:
        targets = {str(index): index for index in range(len(own.classes))}
    by_name = {name.casefold(): name for name in classes}
    known, ignore = {}, list(own.coding.get("ignore", ()))
    for value, target in targets.items():
        name = own.classes[target] if target in range(len(own.classes)) else str(target)
        if name.casefold() in by_name:
            known[value] = by_name[name.casefold()]
        elif value != "255":
            ignore.append(value)
    coding: dict[str, Any] = {} if kind == "indices" else {"labels": kind}
    return coding | {"label_map": known} | ({"ignore": ignore} if ignore else {})


def _meaning(folders: Folders, pixels: Pixels, names: Sequence[str] | None) -> Meaning:
    """Choose classes and coding by the folder's file of classes, another list, or the pixels."""
    path = Path(folders.root, CLASSES_FILE)
    listed = None
    if path.is_file() and not names:
        metainfo, coding = read_classes_file(path)
        classes, palette = metainfo["classes"], metainfo.get("palette")
        if coding:
            check_several(classes)
            return Meaning(classes, palette, coding, str(path))
        colors = [tuple(color) for color in palette] if palette else [None] * len(classes)
        entries = [Entry(n, i, c) for i, (n, c) in enumerate(zip(classes, colors, strict=True))]
        listed = ClassList(str(path), entries)
    elif not names:
        places = [folders.root, Path(folders.root, folders.seg_map_path or "")]
        listed = find_class_list([Path(place) for place in places])
    return meaning_of(pixels, names, listed, folders.seg_map_suffix)


def _statistics(source: Folders, meaning: Meaning, wishes: Wishes) -> ClassStatistics:
    """Count the classes of all label maps of the source.

    Raises:
        InputError: if some cannot be read, or other statistics are there.
    """
    metainfo = {"classes": meaning.classes}
    if meaning.palette:
        metainfo["palette"] = meaning.palette
    dataset = FolderDataset(**source.arguments(), metainfo=metainfo, **meaning.coding)
    found = counted_dataset(dataset, wishes.nproc)
    if unfit := found.report.unfit:
        raise InputError(f"{unfit[0]}; --sample N looks at more of them for values and colours")
    if damaged := found.report.damaged:
        raise InputError(f"{len(damaged)} label maps are damaged, the first: {damaged[0]}")
    if is_too_few(meaning.classes, found.values):
        missing = absent_from(meaning.classes, found.values)
        where = f"no label map of {source.root}"
        raise InputError(absence_message(where, meaning.classes, missing, found.values))
    path = Path(source.root, STATS_FILE)
    if found.contradicts(path):
        raise InputError(
            f"{path} counts other classes or label maps than this task: if no other config needs "
            "it, remove it; or make a folder of links to images and labels, and give it as SOURCE"
        )
    return found


def _spread(items: Sequence[str], count: int) -> list[str]:
    """Choose items that are spread over a sequence."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def _image_sample(folders: Folders, count: int) -> list[str]:
    top = Path(folders.root, folders.img_path)
    return [str(top / name) for name in _spread(folders.images, count)]


def _sample(folders: Folders, count: int) -> list[str]:
    """Choose label maps that are spread over the images."""
    dataset = FolderDataset(**folders.arguments(), metainfo={"classes": ["any", "other"]})
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return _spread([info["seg_map_path"] for info in infos], count)
