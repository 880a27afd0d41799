"""The user's own images, with the user's own classes."""

import json
import os
from collections.abc import Callable, Mapping, Sequence

from pydantic import PositiveInt

from mmseg.registry import DATASETS
from mmseg.utils import InputError
from mmseg.utils.setting_types import Fraction, Indices

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
        data_root: Folder that the other paths are relative to.
        data_prefix: ``img_path`` and, where labels are read, ``seg_map_path``.
        classes_file: File of the classes; not read if ``metainfo`` has classes.
        absent_classes: Names of classes that no label map shows on purpose; without, training on
            such label maps is refused.
        ann_file: Optional list of the samples to use: one path a line, relative to ``img_path``,
            with or without suffix.
        img_suffix: End of the names of images, or several; those of all common formats by default.
        seg_map_suffix: End of the names of label maps.
        metainfo: ``classes`` and, if wanted, ``palette``.
        ignored_edges: See :class:`BaseSegDataset`.
        indices: Use the first n samples only, or these.
        pipeline: Transforms, built from the registry.
        test_mode: Whether this is data to test on.
        lazy_init: Look for the files later, when ``full_init`` is called.

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
        ann_file: str = "",
        img_suffix: str | Sequence[str] | None = None,
        seg_map_suffix: str | None = None,
        metainfo: Mapping | None = None,
        ignored_edges: tuple[Fraction, Fraction] | None = None,
        indices: PositiveInt | Indices | None = None,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
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
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix,
            ann_file=ann_file,
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            metainfo=metainfo,
            ignored_edges=ignored_edges,
            indices=indices,
            pipeline=pipeline,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )
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
