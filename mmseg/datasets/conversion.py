"""Make label maps of train ids, and the statistics that rare class sampling draws by.

Both converters skip what is already there (but count it), write every file whole or not at all, and
go on when a file is damaged. The statistics are three files in the data root, written only when no
file was damaged:

- ``sample_class_stats.json``: ``[{class: pixels, ..., "file": path}, ...]``
- ``sample_class_stats_dict.json``: ``{path: {class: pixels, ...}, ...}``
- ``samples_with_class.json``: ``{class: [[path, pixels], ...], ...}``

Paths are those of the train-id maps relative to the data root, so that it can be moved or linked.
"""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from mmseg.utils import InputError, atomic_path

from .class_names import CITYSCAPES_CLASSES, IGNORE_INDEX, NUM_LABEL_IDS, train_id_table
from .image_files import count_values, list_files, read_label
from .rare_class_sampling import SAMPLES_FILE, STATS_FILE
from .transforms.loading import check_label_values

STATS_DICT_FILE = "sample_class_stats_dict.json"
TRAIN_ID_SUFFIX = "_labelTrainIds.png"
POLYGONS_SUFFIX = "_polygons.json"
CITYSCAPES_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Converted:
    """What became of one label file.

    Args:
        path: The train-id map, relative to the data root.
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


def convert_gta(data_root: str | Path, nproc: int = 1) -> ConversionReport:
    """Write ``labels/*_labelTrainIds.png`` beside GTA's images of label ids, and statistics.

    A label map whose size differs from its image's is no damage but gets no pixels in the
    statistics, so that rare class sampling never draws it.

    Raises:
        InputError: if there are no label files.
    """
    root = _existing_folder(Path(data_root), "labels")
    labels = [n for n in list_files(root / "labels", ".png") if not n.endswith(TRAIN_ID_SUFFIX)]
    if not labels:
        raise InputError(f"no label maps (*.png) in {root / 'labels'}: extract GTA's labels there")
    results = _convert_all(partial(_convert_gta_file, root), labels, nproc)
    report = _report(results)
    if not report.problems:
        _write_statistics(root, results)
    return report


def convert_cityscapes(data_root: str | Path, nproc: int = 1) -> ConversionReport:
    """Draw ``gtFine/**/*_polygons.json`` as train ids; write split lists, and statistics of train.

    ``train.txt``, ``val.txt`` and ``test.txt`` in the root list the samples as ``<city>/<base>``.

    Raises:
        InputError: if there are no polygons.
    """
    root = _existing_folder(Path(data_root), "gtFine")
    polygons = list_files(root / "gtFine", f"_gtFine{POLYGONS_SUFFIX}")
    if not polygons:
        raise InputError(f"no *_gtFine{POLYGONS_SUFFIX} below {root / 'gtFine'}: extract it there")
    results = _convert_all(partial(_convert_cityscapes_file, root), polygons, nproc)
    report = _report(results)
    if not report.problems:
        _write_statistics(root, [r for r in results if r.path.startswith("gtFine/train/")])
        for split in CITYSCAPES_SPLITS:
            _write_split_list(root, split, polygons)
    return report


def _existing_folder(root: Path, labels: str) -> Path:
    if not (root / labels).is_dir():
        raise InputError(f"{root / labels} does not exist: give the folder that holds {labels}/")
    return root


def _convert_all(
    convert: Callable[[str], Converted], names: Sequence[str], nproc: int
) -> list[Converted]:
    """Convert the files in ``nproc`` processes with a progress bar; in order."""
    progress = partial(
        track, total=len(names), description="labels", console=Console(file=sys.stderr)
    )
    try:
        if nproc == 1:
            return list(progress(map(convert, names)))
        with ProcessPoolExecutor(nproc, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
            return list(progress(pool.map(convert, names, chunksize=4)))
    except OSError as error:
        raise InputError(f"a label map cannot be written: {error}") from error
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process was killed, perhaps for lack of memory: run again with a smaller "
            "--nproc; finished files are kept"
        ) from error


def _convert_gta_file(root: Path, name: str) -> Converted:
    """Convert ``labels/<name>``; never raises for a damaged file."""
    path = f"labels/{name.removesuffix('.png')}{TRAIN_ID_SUFFIX}"
    source = str(root / "labels" / name)
    try:
        label = _train_id_map(root / path, lambda: train_ids_of(read_label(source), source))
    except InputError as error:
        return Converted(path, problem=str(error))
    size = _image_size(root / "images" / name)
    if size is not None and size != label.shape[::-1]:
        remark = (
            f"labels/{name} is {label.shape[1]}x{label.shape[0]}, its image {size[0]}x{size[1]}: "
            "never drawn by rare class sampling"
        )
        return Converted(path, remark=remark)
    return Converted(path, _pixels_per_class(label))


def train_ids_of(label_ids: np.ndarray, path: str) -> np.ndarray:
    """Map label ids (H, W) uint8 to train ids; 255 stays.

    Raises:
        InputError: if a value is no label id; it names ``path``.
    """
    strange = np.flatnonzero(count_values(label_ids)[NUM_LABEL_IDS:IGNORE_INDEX]) + NUM_LABEL_IDS
    if strange.size:
        raise InputError(
            f"{path} holds the value {strange[0]}, which is no label id (0-{NUM_LABEL_IDS - 1})"
        )
    return cv2.LUT(label_ids, train_id_table())


def _convert_cityscapes_file(root: Path, name: str) -> Converted:
    """Convert ``gtFine/<name>``; never raises for a damaged file."""
    path = f"gtFine/{name.removesuffix(POLYGONS_SUFFIX)}{TRAIN_ID_SUFFIX}"
    try:
        label = _train_id_map(root / path, lambda: draw_train_ids(root / "gtFine" / name))
    except InputError as error:
        return Converted(path, problem=str(error))
    return Converted(path, _pixels_per_class(label))


def draw_train_ids(polygons: Path) -> np.ndarray:
    """Draw an annotation of Cityscapes as its own scripts do: (H, W) uint8.

    Raises:
        InputError: if the file is unreadable or names an unknown label.
    """
    # Slow to import, and only this function needs it.
    from cityscapesscripts.helpers.annotation import Annotation
    from cityscapesscripts.helpers.labels import name2label
    from cityscapesscripts.preparation.json2labelImg import createLabelImage

    try:
        annotation = Annotation()
        annotation.fromJsonText(polygons.read_text(encoding="utf-8"))
        drawn = {item.label for item in annotation.objects if not item.deleted}
        for label in sorted(drawn.difference(name2label)):
            if label.removesuffix("group") not in name2label:
                raise InputError(f"{polygons} names the label {label!r}, unknown to Cityscapes")
        if min(annotation.imgWidth, annotation.imgHeight) < 1:
            raise InputError(f"{polygons} gives no size of the image")
        return np.array(createLabelImage(annotation, "trainIds"))
    except InputError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{polygons} is no annotation of polygons: {error}") from error


def _train_id_map(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The sound map that an earlier run left at ``path``, or else a new one, written there."""
    if path.exists():
        try:
            label = read_label(str(path))
            check_label_values(label, len(CITYSCAPES_CLASSES), str(path))
            return label
        except InputError:
            pass
    label = make()
    with atomic_path(path) as temporary:
        Image.fromarray(label).save(temporary)
    return label


def _image_size(path: Path) -> tuple[int, int] | None:
    """Width and height from the head of an image file; None if it cannot be read."""
    try:
        with Image.open(path) as image:
            return image.size
    except OSError:
        return None


def _pixels_per_class(label: np.ndarray) -> dict[int, int]:
    counts = count_values(label)[: len(CITYSCAPES_CLASSES)]
    return {int(c): int(counts[c]) for c in np.flatnonzero(counts)}


def _report(results: list[Converted]) -> ConversionReport:
    return ConversionReport(
        num_files=len(results),
        problems=[r.problem for r in results if r.problem is not None],
        remarks=[r.remark for r in results if r.remark is not None],
    )


def _write_statistics(root: Path, results: list[Converted]) -> None:
    samples: dict[int, list[tuple[str, int]]] = {}
    for result in results:
        for label, pixels in result.pixels.items():
            samples.setdefault(label, []).append((result.path, pixels))
    _write_json(root / STATS_FILE, [{**r.pixels, "file": r.path} for r in results])
    _write_json(root / STATS_DICT_FILE, {r.path: r.pixels for r in results})
    _write_json(root / SAMPLES_FILE, samples)


def _write_json(path: Path, content: list | dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _write_split_list(root: Path, split: str, polygons: list[str]) -> None:
    start, end = f"{split}/", f"_gtFine{POLYGONS_SUFFIX}"
    names = [p.removeprefix(start).removesuffix(end) for p in polygons if p.startswith(start)]
    with atomic_path(root / f"{split}.txt") as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
