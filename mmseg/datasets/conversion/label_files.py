"""What the converters share: going over label files and writing label maps of train ids."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from mmseg.utils import InputError, atomic_path
from mmseg.utils.progress import with_progress
from mmseg.utils.workers import map_in_processes

from ..class_names import CITYSCAPES_CLASSES, IGNORE_INDEX
from ..image_files import count_values, image_size, read_label
from ..listing import list_files
from ..transforms.loading import check_label_values

TRAIN_ID_SUFFIX = "_labelTrainIds.png"

Item = TypeVar("Item")


@dataclass(frozen=True)
class Converted:
    """What became of one label file.

    Args:
        path: The label map of train ids, relative to the data root.
        pixels: Pixels per class, of the classes that occur.
        problem: Why the file could not be converted.
        remark: What else the user should know.
    """

    path: str
    pixels: dict[int, int] = field(default_factory=dict)
    problem: str | None = None
    remark: str | None = None


@dataclass(frozen=True)
class ConversionReport:
    """What became of a data set: ``num_files`` label files, ``problems`` with some, ``remarks``."""

    num_files: int
    problems: list[str]
    remarks: list[str]


def report_of(results: Sequence[Converted]) -> ConversionReport:
    """Sum up what became of the files."""
    return ConversionReport(
        num_files=len(results),
        problems=[r.problem for r in results if r.problem is not None],
        remarks=[r.remark for r in results if r.remark is not None],
    )


def existing_folder(root: str | Path, labels: str) -> Path:
    """``root``, if there is a folder ``labels`` in it.

    Raises:
        InputError: there is not.
    """
    root = Path(root)
    if not (root / labels).is_dir():
        raise InputError(f"{root / labels} does not exist: give the folder that holds {labels}/")
    return root


def convert_all(
    convert: Callable[[Item], Converted], items: Sequence[Item], nproc: int
) -> list[Converted]:
    """Convert label files in ``nproc`` processes with a progress bar; in order."""
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
        root: The data root.
        labels: Folder of the label files, relative to it.
        images: Folder of the images, relative to it.
        train_ids: Reads a label file, given its path, as train ids (H, W) uint8.
        nproc: Number of processes.

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
    """Convert ``<labels>/<name>``; never raises for a damaged file."""
    path = f"{labels}/{name.removesuffix('.png')}{TRAIN_ID_SUFFIX}"
    try:
        label = train_id_map(root / path, lambda: train_ids(str(root / labels / name)))
    except InputError as error:
        return Converted(path, problem=str(error))
    return counted(path, label, root / images / name)


def train_id_map(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The sound map that an earlier run left at ``path``, or else a new one, written there."""
    if path.exists():
        try:
            return read_classes(str(path), len(CITYSCAPES_CLASSES))
        except InputError:
            pass
    label = make()
    with atomic_path(path) as temporary:
        Image.fromarray(label).save(temporary)
    return label


def read_classes(path: str, num_classes: int) -> np.ndarray:
    """Read a label map (H, W) uint8.

    Raises:
        InputError: if it is damaged or holds what is neither a class nor 255.
    """
    label = read_label(path)
    check_label_values(label, num_classes, path)
    return label


def counted(path: str, label: np.ndarray, image: Path | None) -> Converted:
    """Count the classes of a label map (H, W) uint8.

    One whose size differs from its image's is no damage but gets no pixels, so that rare class
    sampling never draws it.

    Args:
        path: Of the label map, relative to the data root.
        label: The label map.
        image: File of its image, if it is known; whether that is sound is of no concern here.
    """
    size = label.shape[::-1]
    if image is not None:
        with suppress(InputError):
            size = image_size(str(image))
    if size != label.shape[::-1]:
        remark = (
            f"{path} is {label.shape[1]}x{label.shape[0]}, its image {size[0]}x{size[1]}: "
            "never drawn by rare class sampling"
        )
        return Converted(path, remark=remark)
    return Converted(path, pixels_per_class(label))


def pixels_per_class(label: np.ndarray) -> dict[int, int]:
    """Pixels of each class that occurs in ``label`` (H, W) uint8; 255 is none."""
    counts = count_values(label)[:IGNORE_INDEX]
    return {int(c): int(counts[c]) for c in np.flatnonzero(counts)}
