"""ACDC (Sakaridis et al., ICCV 2021): streets in fog, by night, in rain and in snow."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from mmseg.registry import DATASETS
from mmseg.utils import InputError

from .basesegdataset import BaseSegDataset
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE

Condition = Literal["fog", "night", "rain", "snow"]
CONDITIONS = get_args(Condition)
Split = Literal["train", "val", "test"]
SPLITS = get_args(Split)


@DATASETS.register_module()
class ACDCDataset(BaseSegDataset):
    """Images ``<condition>/<split>/**/*_rgb_anon.png``, label maps ``..._gt_labelTrainIds.png``.

    The data set includes both; the test split has no labels. Each sample has its ``condition``.

    Args:
        data_root: folder that the other paths are relative to.
        split: ``train``, ``val`` or ``test``.
        conditions: some of ``fog``, ``night``, ``rain`` and ``snow``.
        data_prefix: ``img_path`` and, if labels are read, ``seg_map_path``; by default
            ``rgb_anon`` and, unless this is the test split, ``gt``.
        base: other arguments of :class:`BaseSegDataset`.

    Raises:
        InputError: for an unknown split or condition; see also :class:`BaseSegDataset`.
    """

    METAINFO = {"classes": CITYSCAPES_CLASSES, "palette": CITYSCAPES_PALETTE}
    IMG_SUFFIX = "_rgb_anon.png"
    SEG_MAP_SUFFIX = "_gt_labelTrainIds.png"

    def __init__(
        self,
        data_root: str = "",
        split: Split = "val",
        conditions: Sequence[Condition] = CONDITIONS,
        data_prefix: Mapping[str, str | None] | None = None,
        **base: Any,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"ACDC has no split {split!r}: choose one of {', '.join(SPLITS)}")
        if isinstance(conditions, str) or not conditions or not set(CONDITIONS) >= set(conditions):
            raise InputError(
                f"conditions must be a list of some of {', '.join(CONDITIONS)}, not {conditions!r}"
            )
        self.split = split
        self.conditions = tuple(sorted(set(conditions)))
        if data_prefix is None:
            data_prefix = {"img_path": "rgb_anon", "seg_map_path": "gt"}
            if split == "test":
                del data_prefix["seg_map_path"]
        super().__init__(data_root, data_prefix, **base)

    @property
    def is_subset(self) -> bool:
        """True: a split is a part of the images."""
        return True

    def load_data_list(self) -> list[dict]:
        """Load the samples as :class:`BaseSegDataset` does, and add ``condition``."""
        infos = super().load_data_list()
        folder = self.data_prefix["img_path"]
        for info in infos:
            info["condition"] = os.path.relpath(info["img_path"], folder).split(os.sep)[0]
        return infos

    def _images(self, folder: str) -> dict[str, str]:
        images = {}
        for condition in self.conditions:
            head = f"{condition}/{self.split}"
            found = self._files_below(os.path.join(folder, head), self.img_suffix, "images")
            images.update({f"{head}/{name}": f"{head}/{path}" for name, path in found.items()})
        return images
