"""Shared functions of the converters: read label files, write label maps of train ids."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image

from mmseg.datasets.class_names import CITYSCAPES_CLASSES, IGNORE_INDEX, LABEL_ID_TO_TRAIN_ID
from mmseg.datasets.image_files import UnfitLabel, count_values, read_label
from mmseg.datasets.label_coding import LabelCoding, read_label_map
from mmseg.datasets.listing import list_files
from mmseg.datasets.pairs import PairCheck, check_pair, pair_lines
from mmseg.datasets.transforms.loading import check_label_values
from mmseg.utils import InputError, atomic_path
from mmseg.utils.jobs import with_progress
from tools.common.processes import map_in_processes

TRAIN_ID_SUFFIX = "_labelTrainIds.png"
# Number of values without meaning to list.
_SHOWN = 20

Item = TypeVar("Item")


@dataclass(frozen=True)
class Converted:
    """Result of converting one label file.

    Args:
        path: the label map of train ids, relative to the data root.
        values: number of pixels of each value that occurs; empty if the map must not be drawn.
        problem: why the file could not be converted.
        fault: the part of ``problem`` that other files may share; empty if the file is damaged.
        strange: values or colours without meaning, if they are the problem.
        pair: result of comparing it with its image.
    """

    path: str
    values: dict[int, int] = field(default_factory=dict)
    problem: str | None = None
    fault: str = ""
    strange: Sequence = ()
    pair: PairCheck = field(default_factory=PairCheck)

    @property
    def pixels(self) -> dict[int, int]:
        """Number of pixels of each class that occurs."""
        return {value: n for value, n in self.values.items() if value != IGNORE_INDEX}


@dataclass(frozen=True)
class ConversionReport:
    """Result of converting a data set.

    Attributes:
        num_files: number of label files.
        damaged: one line for each damaged file.
        unfit: one line for each kind of readable files that are not label maps of these classes.
        num_failed: number of damaged and unfit files.
        remarks: other lines for the user.
    """

    num_files: int
    damaged: list[str]
    unfit: list[str]
    num_failed: int
    remarks: list[str]

    @property
    def problems(self) -> list[str]:
        """Lines for all files that could not be converted."""
        return self.damaged + self.unfit


def failed(path: str, error: InputError) -> Converted:
    """Make the result of a label file that could not be read."""
    if isinstance(error, UnfitLabel):
        return Converted(path, problem=str(error), fault=error.fault, strange=error.values)
    return Converted(path, problem=str(error))


def report_of(results: Sequence[Converted]) -> ConversionReport:
    """Summarise the results of all files."""
    failures = [result for result in results if result.problem is not None]
    unfit: dict[str, list[Converted]] = {}
    for result in failures:
        if result.fault:
            unfit.setdefault(result.fault, []).append(result)
    return ConversionReport(
        num_files=len(results),
        damaged=[result.problem for result in failures if not result.fault],
        unfit=[_unfit_line(group, len(results)) for group in unfit.values()],
        num_failed=len(failures),
        remarks=pair_lines([result.pair for result in results]),
    )


def _unfit_line(group: Sequence[Converted], num_files: int) -> str:
    line = f"{len(group)} of {num_files} label files, the first: {group[0].problem}"
    strange = [str(value) for value in sorted({v for result in group for v in result.strange})]
    if len(strange) > _SHOWN:
        strange[_SHOWN:] = [f"{len(strange) - _SHOWN} more"]
    return f"{line}; values without meaning: {', '.join(strange)}" if strange else line


def train_id_table(train_ids: Mapping[int, int] = LABEL_ID_TO_TRAIN_ID) -> np.ndarray:
    """Make a look-up table (256,) uint8 from label id to train id, 255 for ids without one."""
    table = np.full(256, IGNORE_INDEX, dtype=np.uint8)
    for number, train_id in train_ids.items():
        table[number] = train_id
    return table


def existing_folder(root: str | Path, labels: str) -> Path:
    """Check that ``root`` contains a folder ``labels``, and return it as a path.

    Raises:
        InputError: if there is no such folder.
    """
    root = Path(root)
    if not (root / labels).is_dir():
        raise InputError(f"{root / labels} does not exist: give the folder that holds {labels}/")
    return root


def convert_all(
    convert: Callable[[Item], Converted], items: Sequence[Item], nproc: int
) -> list[Converted]:
    """Convert label files in ``nproc`` processes with a progress bar; keep their order."""
    progress = partial(with_progress, description="labels", total=len(items))
    try:
        return list(progress(map_in_processes(convert, items, nproc, chunksize=4)))
    except OSError as error:
        raise InputError(f"a label map cannot be written: {error}") from error


def convert_images(
    root: Path, labels: str, images: str, train_ids: Callable[[str], np.ndarray], nproc: int
) -> list[Converted]:
    """Convert ``<labels>/*.png``, each of which belongs to the image ``<images>/*.png``.

    Args:
        root: the data root.
        labels: folder of the label files, relative to it.
        images: folder of the images, relative to it.
        train_ids: reads a label file, given its path, as train ids (H, W) uint8.
        nproc: number of processes.

    Raises:
        InputError: if there are no label files.
    """
    names = list_files(existing_folder(root, labels) / labels, ".png")
    names = [name for name in names if not name.endswith(TRAIN_ID_SUFFIX)]
    if not names:
        raise InputError(f"no label maps (*.png) in {root / labels}: extract the labels there")
    return convert_all(partial(_convert_image, root, labels, images, train_ids), names, nproc)


def _convert_image(
    root: Path, labels: str, images: str, train_ids: Callable[[str], np.ndarray], name: str
) -> Converted:
    """Convert ``<labels>/<name>``; report a damaged file in the result."""
    path = f"{labels}/{name.removesuffix('.png')}{TRAIN_ID_SUFFIX}"
    try:
        label = train_id_map(root / path, lambda: train_ids(str(root / labels / name)))
    except InputError as error:
        return failed(path, error)
    return counted(path, label, root / images / name)


def train_id_map(
    path: Path, make: Callable[[], np.ndarray], num_classes: int = len(CITYSCAPES_CLASSES)
) -> np.ndarray:
    """Read the map that an earlier run has written to ``path``, or make and write it."""
    if path.exists():
        try:
            return read_classes(str(path), num_classes)
        except InputError:
            pass
    label = make()
    with atomic_path(path) as temporary:
        Image.fromarray(label).save(temporary)
    return label


def read_label_ids(path: str, count: int, advice: str) -> np.ndarray:
    """Read a label map of Cityscapes' label ids as train ids (H, W) uint8; 255 stays.

    Args:
        path: path of the label map.
        count: number of label ids, which start from 0.
        advice: what to do if it holds other values.

    Raises:
        UnfitLabel: if it holds a value that is not a label id.
        InputError: if it is damaged.
    """
    label_ids = read_label(path)
    strange = np.flatnonzero(count_values(label_ids)[count:IGNORE_INDEX]) + count
    if strange.size:
        fault = f"which is not a label id (0-{count - 1}): {advice}"
        message = f"{path} holds the value {strange[0]}, {fault}"
        raise UnfitLabel(message, fault, strange.tolist())
    return cv2.LUT(label_ids, train_id_table())


def read_classes(path: str, num_classes: int, coding: LabelCoding | None = None) -> np.ndarray:
    """Read a label map as classes (H, W) uint8.

    Args:
        path: path of the label map.
        num_classes: number of classes.
        coding: what its pixels mean; None: they are class indices.

    Raises:
        InputError: if it is damaged or contains a value that is neither a class nor 255.
    """
    label = read_label_map({"seg_map_path": path, "label_coding": coding})
    check_label_values(label, num_classes, path)
    return label


def counted(path: str, label: np.ndarray, image: Path | None) -> Converted:
    """Count the values of a label map (H, W) uint8.

    A map whose size differs from its image's gets no pixels, so that it is never drawn.

    Args:
        path: path of the label map, relative to the data root.
        label: the label map.
        image: path of its image, if known; damaged images are not reported here.
    """
    pair = PairCheck() if image is None else check_pair(str(image), path, label.shape[::-1])
    if pair.conflict is not None:
        return Converted(path, pair=pair)
    counts = count_values(label)
    return Converted(path, {int(v): int(counts[v]) for v in np.flatnonzero(counts)}, pair=pair)
