"""The user's own images, with the user's own classes."""

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
    """Images of any common format in one folder tree, PNGs of the same names in another.

    ``<img_path>/a/b.jpg`` belongs to ``<seg_map_path>/a/b.png``. Label maps hold class indices,
    counted from 0 (greyscale or palette); 255 is no class. The classes are those of ``metainfo``,
    or else of a file in the data root::

        {"classes": ["road", "other"], "palette": [[128, 64, 128], [0, 0, 0]]}

    Without ``palette`` colours are chosen. Images without labels need no classes.

    Args:
        data_root: folder that the other paths are relative to.
        data_prefix: ``img_path`` and, where labels are read, ``seg_map_path``.
        classes_file: file of the classes; not read if ``metainfo`` has classes.
        absent_classes: names of classes that no label map shows on purpose; without, training on
            such label maps is refused.
        metainfo: ``classes`` and, if wanted, ``palette``.
        base: the other arguments of :class:`BaseSegDataset`; ``img_suffix`` is by default those of
            all common formats.

    Raises:
        InputError: if labels are read without classes, for a file of classes that is none, for
            absent classes that are no classes, and two images that differ in the suffix alone; see
            also :class:`BaseSegDataset`.
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
            raise InputError(f"absent_classes of the FolderDataset are no classes: {unknown}")


def _read_classes(path: str) -> dict:
    """``classes`` and, if it is there, ``palette`` of a file of classes."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    keys = set(content) if isinstance(content, dict) else set()
    if "classes" not in keys or keys - {"classes", "palette"}:
        raise InputError(
            f'{path} is no file of classes: expected {{"classes": [...], "palette": [...]}}'
        )
    try:
        check_classes(content["classes"])
        if "palette" in content:
            check_palette(content["palette"], len(content["classes"]))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return content
