"""Base class of segmentation data sets, which finds pairs of images and label maps."""

import os
from collections.abc import Callable, Mapping, Sequence

from mmengine.dataset import BaseDataset
from pydantic import PositiveInt

from mmseg.registry import DATASETS, TRANSFORMS
from mmseg.utils import InputError
from mmseg.utils.setting_types import Fraction, Indices

from .class_names import check_classes, check_palette, distinct_palette
from .label_coding import LabelCoding
from .listing import list_files


@DATASETS.register_module()
class BaseSegDataset(BaseDataset):
    """Data set of images in one folder tree and label maps of the same names in another.

    ``<img_path>/a/b<img_suffix>`` belongs to ``<seg_map_path>/a/b<seg_map_suffix>``. The samples
    are sorted by path. Without ``seg_map_path`` labels are neither searched for nor opened.

    Args:
        data_root: folder that the other paths are relative to.
        data_prefix: ``img_path`` and, if labels are read, ``seg_map_path``.
        ann_file: optional file that lists the samples to use: one path per line, relative to
            ``img_path``, with or without suffix.
        img_suffix: suffix of the names of images, or several; default: ``IMG_SUFFIX``.
        seg_map_suffix: suffix of the names of label maps; default: ``SEG_MAP_SUFFIX``.
        metainfo: overrides ``classes`` and ``palette``; classes without a palette get one.
        ignored_edges: shares of an image's height at top and bottom in which pseudo-labels have
            weight 0 when this data set is a target, as the camera's rim and the car's bonnet;
            default: ``IGNORED_EDGES``.
        indices: number of first samples to use, or indices of those to use.
        pipeline: transforms, built from the registry.
        test_mode: whether the data set is used for testing.
        lazy_init: whether to search for the files later, when ``full_init`` is called.

    Raises:
        InputError: for a missing or empty folder, a listed image that does not exist, invalid
            classes or colours, edges that cover more than half of an image, and, if labels are
            read, for an image without label map or a data set without classes.
    """

    METAINFO: dict = {}
    IMG_SUFFIX: str | tuple[str, ...] = ".jpg"
    SEG_MAP_SUFFIX: str = ".png"
    IGNORED_EDGES: tuple[float, float] = (0.0, 0.0)
    #: Module under tools.convert_datasets that makes the label maps and statistics.
    CONVERTER: str | None = None
    #: Names of classes that its label maps are known not to contain.
    absent_classes: Sequence[str] = ()
    #: Translates the pixels of label maps to classes; None: they are class indices.
    label_coding: LabelCoding | None = None
    #: Whether it is an error if label maps lack a class that is not in ``absent_classes``.
    NEEDS_ALL_CLASSES = False

    def __init__(
        self,
        data_root: str = "",
        data_prefix: Mapping[str, str | None] | None = None,
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
        img_suffix = self.IMG_SUFFIX if img_suffix is None else img_suffix
        self.img_suffix = img_suffix if isinstance(img_suffix, str) else tuple(img_suffix)
        self.seg_map_suffix = self.SEG_MAP_SUFFIX if seg_map_suffix is None else seg_map_suffix
        self.ignored_edges = self.IGNORED_EDGES if ignored_edges is None else tuple(ignored_edges)
        if min(self.ignored_edges) < 0 or sum(self.ignored_edges) > 0.5:
            raise InputError(
                f"ignored_edges must be shares of the image's height, at its top and its bottom, "
                f"which leave at least half of it, not {self.ignored_edges}"
            )
        prefix = {"img_path": "", **(data_prefix or {})}
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_root=data_root,
            data_prefix={key: path for key, path in prefix.items() if path is not None},
            indices=indices,
            # Built here: mmengine's Compose would take mmcv's transforms of the same names.
            pipeline=[TRANSFORMS.build(t) if isinstance(t, dict) else t for t in pipeline],
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        """Check classes and palette; make a palette if only classes are given."""
        loaded = super()._load_metainfo(metainfo)
        if "classes" in loaded:
            check_classes(loaded["classes"])
            given = metainfo or {}
            if "classes" in given and "palette" not in given:
                loaded["palette"] = distinct_palette(len(loaded["classes"]))
        if "palette" in loaded:
            check_palette(loaded["palette"], len(loaded.get("classes", ())))
        return loaded

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self._metainfo.get("classes", ()))

    @property
    def is_subset(self) -> bool:
        """Whether ``ann_file`` or ``indices`` leave out some of the images."""
        return bool(self.ann_file) or self._indices is not None

    def conversion_advice(self) -> str:
        """Return a clause with the command that makes the label maps; "" if there is none."""
        if self.CONVERTER is None:
            return ""
        root = self.data_root.rstrip("/")
        return f": run `python -m tools.convert_datasets.{self.CONVERTER} {root} --nproc 8`"

    def statistics_advice(self) -> str:
        """Return a clause with the command that writes the class statistics."""
        return self.conversion_advice() or ": run `python -m tools.class_stats --config CONFIG`"

    def get_data_info(self, idx: int) -> dict:
        """Return paths and ignored edges of a sample, and with a label map how to read it."""
        info = super().get_data_info(idx)
        if any(self.ignored_edges):
            info["ignored_edges"] = self.ignored_edges
        if "seg_map_path" in info:
            info["num_classes"] = self.num_classes
            if self.label_coding is not None:
                info["label_coding"] = self.label_coding
        return info

    def load_data_list(self) -> list[dict]:
        """Pair images with their label maps, as dicts of ``img_path`` and ``seg_map_path``."""
        if self.data_root and not os.path.isdir(self.data_root):
            raise InputError(
                f"data root {self.data_root} does not exist: link the data set there "
                f"(ln -s /path/to/dataset {self.data_root.rstrip('/')})"
            )
        folder = self.data_prefix["img_path"]
        images = self._images(folder)
        if self.ann_file:
            images = self._listed(images, folder)
        infos = [{"img_path": os.path.join(folder, path)} for path in images.values()]
        if "seg_map_path" in self.data_prefix:
            self._add_label_maps(infos, list(images))
        return infos

    def _images(self, folder: str) -> dict[str, str]:
        """Map the sorted names, without suffix, of the images to their paths below ``folder``."""
        return self._files_below(folder, self.img_suffix, "images")

    def _listed(self, there: dict[str, str], folder: str) -> dict[str, str]:
        """Select the images below ``folder`` that ``ann_file`` names."""
        try:
            with open(self.ann_file, encoding="utf-8-sig") as file:
                lines = sorted({line.strip() for line in file} - {""})
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise InputError(f"list {self.ann_file} cannot be read: {reason}") from error
        if not lines:
            raise InputError(f"list {self.ann_file} names no image")
        found = [self._find_listed(line, there) for line in lines]
        lost = [line for line, name in zip(lines, found, strict=True) if name is None]
        if lost:
            raise InputError(
                f"{len(lost)} images of the list {self.ann_file} are not below {folder}, "
                f"for instance {lost[0]}"
            )
        return {name: there[name] for name in sorted({n for n in found if n is not None})}

    def _find_listed(self, line: str, there: Mapping[str, str]) -> str | None:
        """Find the name, in ``there``, of the image that a line of the list means."""
        name = without_suffix(line, self.img_suffix)
        return next((n for n in (line, name) if n in there), None)

    def _add_label_maps(self, infos: list[dict], names: list[str]) -> None:
        if not self.num_classes:
            raise InputError(
                f"{type(self).__name__} reads labels but has no classes: "
                'set metainfo=dict(classes=[...], palette=[...]) or drop "seg_map_path"'
            )
        folder = self.data_prefix["seg_map_path"]
        there = self._files_below(folder, self.seg_map_suffix, "label maps")
        lost = [name for name in names if name not in there]
        if lost:
            example = os.path.join(folder, lost[0] + self.seg_map_suffix)
            raise InputError(
                f"{len(lost)} of {len(names)} images have no label map: {example} is missing"
                f"{self.conversion_advice()}"
            )
        for info, name in zip(infos, names, strict=True):
            info["seg_map_path"] = os.path.join(folder, there[name])

    def _files_below(self, folder: str, suffix: str | tuple[str, ...], what: str) -> dict[str, str]:
        """Map the sorted names of files, without suffix, to their paths relative to ``folder``."""
        if not os.path.isdir(folder):
            raise InputError(f"folder {folder} does not exist: put the {what} there")
        files: dict[str, str] = {}
        for path in list_files(folder, suffix):
            other = files.setdefault(without_suffix(path, suffix), path)
            if other != path:
                raise InputError(
                    f"folder {folder} holds {other} and {path}, two {what} of one name: remove one "
                    "or set img_suffix"
                )
        if not files:
            advice = self.conversion_advice() if what == "label maps" else ""
            shown = suffix if isinstance(suffix, str) else ", *".join(suffix)
            raise InputError(f"folder {folder} holds no {what} (*{shown}){advice}")
        return dict(sorted(files.items()))


def without_suffix(path: str, suffix: str | tuple[str, ...]) -> str:
    """Remove ``suffix``, or the first matching one of several, from ``path``."""
    suffixes = (suffix,) if isinstance(suffix, str) else suffix
    return path.removesuffix(next((s for s in suffixes if path.endswith(s)), ""))
