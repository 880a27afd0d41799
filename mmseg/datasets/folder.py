"""Data set of the user's images and classes."""

import json
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mmseg.registry import DATASETS
from mmseg.utils import InputError

from .basesegdataset import BaseSegDataset
from .class_names import check_classes, check_palette
from .image_files import IMAGE_SUFFIXES
from .label_coding import LabelCoding, Labels, Value

CLASSES_FILE = "classes.json"
_CODING = ("labels", "label_map", "ignore")


@DATASETS.register_module()
class FolderDataset(BaseSegDataset):
    """Images of any common format in one folder tree, label maps of the same names in another.

    ``<img_path>/a/b.jpg`` belongs to ``<seg_map_path>/a/b.png``. Label maps hold class indices from
    0 (greyscale or palette), and 255 is ignored, unless ``labels``, ``label_map`` or ``ignore`` say
    what else their pixels mean (:class:`~mmseg.datasets.label_coding.LabelCoding`). Classes and
    label maps are described by arguments or by a file in the data root::

        {"classes": ["road", "other"], "palette": [[128, 64, 128], [0, 0, 0]],
         "labels": "red", "label_map": {"7": "road", "8": "other"}, "ignore": [0]}

    Without ``palette`` colours are chosen automatically. Images without labels need no classes.

    Args:
        data_root: folder that the other paths are relative to.
        data_prefix: ``img_path`` and, if labels are read, ``seg_map_path``.
        classes_file: file of the classes; ignored if ``metainfo`` has classes.
        absent_classes: names of classes that the label maps do not contain on purpose; training
            refuses label maps that lack other classes.
        metainfo: ``classes`` and optionally ``palette``.
        labels: what the pixels of label maps are: one channel of "indices" or other values;
            "colors", those of the palette; values in the "red" one of several channels.
        label_map: value, or colour as "128 64 128" -> index or name of its class.
        ignore: values or colours of no class. If one of these three is given, those of the file
            are ignored.
        base: other arguments of :class:`BaseSegDataset`; ``img_suffix`` is by default those of all
            common formats.

    Raises:
        InputError: if labels are read without classes, the file of classes is invalid, absent
            classes are unknown, or two images differ only in the suffix; see also
            :class:`BaseSegDataset` and :class:`~mmseg.datasets.label_coding.LabelCoding`.
    """

    IMG_SUFFIX = IMAGE_SUFFIXES + tuple(suffix.upper() for suffix in IMAGE_SUFFIXES)
    SEG_MAP_SUFFIX = ".png"
    NEEDS_ALL_CLASSES = True

    def __init__(
        self,
        data_root: str = "",
        data_prefix: Mapping[str, str | None] | None = None,
        classes_file: str = CLASSES_FILE,
        absent_classes: Sequence[str] = (),
        metainfo: Mapping | None = None,
        labels: Labels | None = None,
        label_map: Mapping[str | int, str | int] | None = None,
        ignore: Sequence[Value] | None = None,
        **base: Any,
    ) -> None:
        self.absent_classes = absent_classes
        reads_labels = (data_prefix or {}).get("seg_map_path") is not None
        path = os.path.join(data_root, classes_file)
        coding: Mapping[str, Any] = {}
        if "classes" not in (metainfo or {}):
            if os.path.exists(path):
                metainfo, coding = read_classes_file(path)
            elif os.path.isdir(data_root) and reads_labels:
                raise InputError(
                    f"{path} is missing, the names of the classes: write "
                    '{"classes": ["road", ...]} into it, or set metainfo=dict(classes=[...])'
                )
        given = {"labels": labels, "label_map": label_map, "ignore": ignore}
        coding = {key: value for key, value in given.items() if value is not None} or coding
        super().__init__(data_root, data_prefix, metainfo=metainfo, **base)
        classes = self.metainfo.get("classes", ())
        unknown = set(absent_classes) - set(classes)
        if unknown:
            raise InputError(f"absent_classes of the FolderDataset are not classes: {unknown}")
        if reads_labels:
            self.label_coding = coding_of(classes, self.metainfo["palette"], coding)


def coding_of(
    classes: Sequence[str],
    palette: Sequence[Sequence[int]] = (),
    coding: Mapping[str, Any] = MappingProxyType({}),
) -> LabelCoding | None:
    """Make the coding of label maps; None for class indices, which need no translation.

    Args:
        classes: names of the classes.
        palette: their colours.
        coding: other arguments of :class:`LabelCoding`.
    """
    if coding in ({}, {"labels": "indices"}):
        return None
    return LabelCoding(classes, palette, **coding)


def read_classes_file(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a file of classes.

    Returns:
        ``classes`` and, if given, ``palette``; and the other arguments of :class:`LabelCoding`.

    Raises:
        InputError: if it cannot be read or is not a file of classes.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    keys = set(content) if isinstance(content, dict) else set()
    if "classes" not in keys or keys - {"classes", "palette", *_CODING}:
        raise InputError(
            f'{path} is not a file of classes: expected {{"classes": [...], "palette": [...]}}, '
            f"and {', '.join(_CODING)} if label maps do not hold class indices"
        )
    metainfo = {key: content[key] for key in ("classes", "palette") if key in content}
    coding = {key: content[key] for key in _CODING if key in content}
    try:
        check_classes(metainfo["classes"])
        if "palette" in metainfo:
            check_palette(metainfo["palette"], len(metainfo["classes"]))
        _check_kinds(coding)
        coding_of(**metainfo, coding=coding)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return metainfo, coding


def _check_kinds(coding: Mapping[str, Any]) -> None:
    """Check that the values of a file of classes have the types of arguments."""
    for key, kind, word in (("label_map", dict, "a dict"), ("ignore", list, "a list")):
        if key in coding and not isinstance(coding[key], kind):
            raise InputError(f"{key} is {coding[key]!r}, but it takes {word}")
