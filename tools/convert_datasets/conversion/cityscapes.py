"""Converter for Cityscapes, whose annotations are polygons, and PNGs of label ids drawn of them."""

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
    read_label_ids,
    train_id_map,
)
from .statistics import report_and_statistics

POLYGONS_SUFFIX = "_gtFine_polygons.json"
LABEL_IDS_SUFFIX = "_gtFine_labelIds.png"
NUM_LABEL_IDS = 34
SPLITS = ("train", "val", "test")


def convert_cityscapes(data_root: str | Path, nproc: int = 1) -> ConversionReport:
    """Draw ``gtFine/**/*_polygons.json`` as train ids; write split lists and statistics of train.

    Label maps of an image without polygons are made from its ``*_gtFine_labelIds.png``, with the
    same result. ``train.txt``, ``val.txt`` and ``test.txt`` list the samples as ``<city>/<base>``.

    Raises:
        InputError: if there are neither.
    """
    root = existing_folder(data_root, "gtFine")
    suffix_of = {
        name.removesuffix(suffix): suffix
        for suffix in (LABEL_IDS_SUFFIX, POLYGONS_SUFFIX)  # the last one counts
        for name in list_files(root / "gtFine", suffix)
    }
    if not suffix_of:
        raise InputError(
            f"no *{POLYGONS_SUFFIX} and no *{LABEL_IDS_SUFFIX} below {root / 'gtFine'}: extract "
            "them there"
        )
    samples = sorted(suffix_of)
    annotations = [sample + suffix_of[sample] for sample in samples]
    results = convert_all(partial(_convert_annotation, root), annotations, nproc)
    report = report_and_statistics(root, results, below="gtFine/train/")
    if not report.problems:
        for split in SPLITS:
            _write_split_list(root, split, samples)
    return report


def _convert_annotation(root: Path, name: str) -> Converted:
    """Convert ``gtFine/<name>``; report a damaged file in the result."""
    is_drawn = name.endswith(LABEL_IDS_SUFFIX)
    sample = name.removesuffix(LABEL_IDS_SUFFIX if is_drawn else POLYGONS_SUFFIX)
    path, annotation = f"gtFine/{sample}_gtFine{TRAIN_ID_SUFFIX}", root / "gtFine" / name
    convert = _read_drawn if is_drawn else draw_train_ids
    try:
        label = train_id_map(root / path, lambda: convert(annotation))
    except InputError as error:
        return failed(path, error)
    return counted(path, label, None)


def _read_drawn(path: Path) -> np.ndarray:
    """Read label ids, which the polygons of Cityscapes have been drawn in, as train ids."""
    return read_label_ids(str(path), NUM_LABEL_IDS, "extract gtFine again")


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


def _write_split_list(root: Path, split: str, samples: Sequence[str]) -> None:
    names = [name.removeprefix(f"{split}/") for name in samples if name.startswith(f"{split}/")]
    with atomic_path(root / f"{split}.txt") as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
