"""Converter for folders of a user, whose file of classes says what label maps hold."""

from functools import partial
from pathlib import Path

from mmseg.datasets.folder import CLASSES_FILE, coding_of, read_classes_file
from mmseg.datasets.label_coding import LabelCoding
from mmseg.utils import InputError
from tools.convert_datasets.label_folders import Folders

from .label_files import (
    ConversionReport,
    Converted,
    convert_all,
    counted,
    failed,
    read_classes,
    report_of,
    train_id_map,
)

SUFFIX = "_indices"


def convert_folder(folders: Folders, nproc: int = 1) -> tuple[ConversionReport, str]:
    """Write the label maps of ``folders`` as PNGs of class indices.

    Those of ``labels/train`` go to ``labels_indices/train``, under the names of the images without
    their suffix.

    Returns:
        The report, and the folder of the written label maps, relative to the data root.

    Raises:
        InputError: if the file of classes is missing or invalid, or files cannot be written.
    """
    root = Path(folders.root)
    metainfo, coding = read_classes_file(root / CLASSES_FILE)
    how = coding_of(**metainfo, coding=coding)
    if how is None:
        raise InputError(
            f"{root / CLASSES_FILE} says that label maps hold class indices: there is nothing to "
            "convert (labels, label_map and ignore say what they hold)"
        )
    top, *rest = Path(folders.seg_map_path or "").parts or ("labels",)
    written = Path(top + SUFFIX, *rest)
    paths = (folders.seg_map_path or "", folders.seg_map_suffix, written)
    convert = partial(_convert, root, how, len(metainfo["classes"]), paths)
    names = [
        name.removesuffix(
            next((s for s in folders.img_suffix if name.endswith(s)), Path(name).suffix)
        )
        for name in folders.images
    ]
    return report_of(convert_all(convert, names, nproc)), str(written)


def _convert(
    root: Path, coding: LabelCoding, num_classes: int, paths: tuple[str, str, Path], name: str
) -> Converted:
    """Convert the label map of a name; report a damaged file in the result."""
    folder, suffix, written = paths
    stored, target = root / folder / (name + suffix), written / f"{name}.png"
    try:
        make = partial(read_classes, str(stored), num_classes, coding)
        label = train_id_map(root / target, make, num_classes)
    except InputError as error:
        return failed(str(target), error)
    return counted(str(target), label, None)
