"""Converter for Cityscapes, whose annotations are polygons."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mmseg.datasets.listing import list_files
from mmseg.utils import InputError, atomic_path

from .label_files import (
    TRAIN_ID_SUFFIX,
    ConversionReport,
    Converted,
    convert_all,
    counted,
    existing_folder,
    failed,
    train_id_map,
)
from .statistics import report_and_statistics

POLYGONS_SUFFIX = "_polygons.json"
SPLITS = ("train", "val", "test")


def convert_cityscapes(data_root: str | Path, nproc: int = 1) -> ConversionReport:
    """Draw ``gtFine/**/*_polygons.json`` as train ids; write split lists and statistics of train.

    ``train.txt``, ``val.txt`` and ``test.txt`` in the root list the samples as ``<city>/<base>``.

    Raises:
        InputError: if there are no polygons.
    """
    root = existing_folder(data_root, "gtFine")
    polygons = list_files(root / "gtFine", f"_gtFine{POLYGONS_SUFFIX}")
    if not polygons:
        raise InputError(f"no *_gtFine{POLYGONS_SUFFIX} below {root / 'gtFine'}: extract it there")
    results = convert_all(partial(_convert_polygons, root), polygons, nproc)
    report = report_and_statistics(root, results, below="gtFine/train/")
    if not report.problems:
        for split in SPLITS:
            _write_split_list(root, split, polygons)
    return report


def _convert_polygons(root: Path, name: str) -> Converted:
    """Convert ``gtFine/<name>``; report a damaged file in the result."""
    path = f"gtFine/{name.removesuffix(POLYGONS_SUFFIX)}{TRAIN_ID_SUFFIX}"
    try:
        label = train_id_map(root / path, lambda: draw_train_ids(root / "gtFine" / name))
    except InputError as error:
        return failed(path, error)
    return counted(path, label, None)


def draw_train_ids(polygons: Path) -> np.ndarray:
    """Draw an annotation of Cityscapes as its scripts do, (H, W) uint8.

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
        raise InputError(f"{polygons} is not an annotation of polygons: {error}") from error


def _write_split_list(root: Path, split: str, polygons: Sequence[str]) -> None:
    start, end = f"{split}/", f"_gtFine{POLYGONS_SUFFIX}"
    names = [p.removeprefix(start).removesuffix(end) for p in polygons if p.startswith(start)]
    with atomic_path(root / f"{split}.txt") as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
