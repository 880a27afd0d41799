"""Data set of the user's images and classes."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.registry import DATASETS
from mmseg.utils import InputError

from .basesegdataset import BaseSegDataset
from .class_names import check_classes, check_palette
from .image_files import IMAGE_SUFFIXES


@DATASETS.register_module()
class FolderDataset(BaseSegDataset):
    """Images of any common format in one folder tree, PNG label maps of the same names in another.

    ``<img_path>/a/b.jpg`` belongs to ``<seg_map_path>/a/b.png``. Label maps hold class indices from
    0 (greyscale or palette); 255 is ignored. The classes are given by ``metainfo`` or by a file in
    the data root::

        {"classes": ["road", "other"], "palette": [[128, 64, 128], [0, 0, 0]]}

    Without ``palette`` colours are chosen automatically. Images without labels need no classes.

    Args:
        data_root: folder that the other paths are relative to.
        data_prefix: ``img_path`` and, if labels are read, ``seg_map_path``.
        classes_file: file of the classes; ignored if ``metainfo`` has classes.
        absent_classes: names of classes that the label maps do not contain on purpose; training
            refuses label maps that lack other classes.
        metainfo: ``classes`` and optionally ``palette``.
        base: other arguments of :class:`BaseSegDataset`; ``img_suffix`` is by default those of all
            common formats.

    Raises:
        InputError: if labels are read without classes, the file of classes is invalid, absent
            classes are unknown, or two images differ only in the suffix; see also
            :class:`BaseSegDataset`.
    """

    IMG_SUFFIX = IMAGE_SUFFIXES + tuple(suffix.upper() for suffix in IMAGE_SUFFIXES)
    SEG_MAP_SUFFIX = ".png"
    NEEDS_ALL_CLASSES = True

    def __init__(
        self,
        data_root: str = "",
        data_prefix: Mapping[str, str | None] | None = None,
        classes_file: str = "classes.json",
        absent_classes: Sequence[str] = (),
        metainfo: Mapping | None = None,
        **base: Any,
    ) -> None:
        self.absent_classes = absent_classes
        path = os.path.join(data_root, classes_file)
        if "classes" not in (metainfo or {}):
            if os.path.exists(path):
                metainfo = _read_classes(path)
            elif os.path.isdir(data_root) and (data_prefix or {}).get("seg_map_path") is not None:
                raise InputError(
                    f"{path} is missing, the names of the classes: write "
                    '{"classes": ["road", ...]} into it, or set metainfo=dict(classes=[...])'
                )
        super().__init__(data_root, data_prefix, metainfo=metainfo, **base)
        unknown = set(absent_classes) - set(self.metainfo.get("classes", ()))
        if unknown:
            raise InputError(f"absent_classes of the FolderDataset are not classes: {unknown}")


def _read_classes(path: str) -> dict:
    """Read ``classes`` and optionally ``palette`` from a file of classes."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    keys = set(content) if isinstance(content, dict) else set()
    if "classes" not in keys or keys - {"classes", "palette"}:
        raise InputError(
            f'{path} is not a file of classes: expected {{"classes": [...], "palette": [...]}}'
        )
    try:
        check_classes(content["classes"])
        if "palette" in content:
            check_palette(content["palette"], len(content["classes"]))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return content
