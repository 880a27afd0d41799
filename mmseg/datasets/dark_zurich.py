"""Dark Zurich (Sakaridis et al., ICCV 2019): streets at night, with day images of the places."""

import csv
import os
from collections.abc import Iterator, Mapping
from typing import Any

from mmseg.registry import DATASETS
from mmseg.utils import InputError

from .basesegdataset import BaseSegDataset
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE
from .listing import list_files

IMAGES = "rgb_anon"


@DATASETS.register_module()
class DarkZurichDataset(BaseSegDataset):
    """Images ``<sequence>/*_rgb_anon.png``, label maps ``<sequence>/*_gt_labelTrainIds.png``.

    The data set includes both; only ``val`` has labels. The split is part of the prefixes:
    ``rgb_anon/val/night`` and ``gt/val/night``.

    Models trained for Dark Zurich use test-time class weights only on this data set, as published:
    each sample has ``use_class_weight``.

    With ``corresp`` each sample has ``day_img_path``, the day image taken closest to it. The first
    two columns of the files ``<corresp>/**/*.csv`` are the paths of night image and day image below
    ``rgb_anon``, without suffix. If several rows name the same night image, the last counts.

    Args:
        data_root: folder that the other paths are relative to.
        data_prefix: ``img_path`` and, if labels are read, ``seg_map_path``.
        corresp: folder of the csv files; None: no day images.
        base: other arguments of :class:`BaseSegDataset`.

    Raises:
        InputError: with ``corresp``, if csv files are missing or malformed, do not name an image,
            or name a day image that does not exist; see also :class:`BaseSegDataset`.
    """

    METAINFO = {"classes": CITYSCAPES_CLASSES, "palette": CITYSCAPES_PALETTE}
    IMG_SUFFIX = "_rgb_anon.png"
    SEG_MAP_SUFFIX = "_gt_labelTrainIds.png"

    def __init__(
        self,
        data_root: str = "",
        data_prefix: Mapping[str, str | None] | None = None,
        corresp: str | None = None,
        **base: Any,
    ) -> None:
        self.corresp = corresp
        super().__init__(data_root, data_prefix, **base)

    def load_data_list(self) -> list[dict]:
        """Load the samples as :class:`BaseSegDataset`; add ``use_class_weight`` and day images."""
        infos = super().load_data_list()
        for info in infos:
            info["use_class_weight"] = True
        if self.corresp is not None:
            self._add_day_images(infos, os.path.join(self.data_root, self.corresp))
        return infos

    def _add_day_images(self, infos: list[dict], folder: str) -> None:
        day_of = dict(_read_pairs(folder))
        images = os.path.join(self.data_root, IMAGES)
        lost = []
        for info in infos:
            night = os.path.relpath(info["img_path"], images).removesuffix(self.IMG_SUFFIX)
            day = day_of.get(night)
            if day is None:
                lost.append(night)
            else:
                info["day_img_path"] = os.path.join(images, day + self.IMG_SUFFIX)
        if lost:
            raise InputError(
                f"{len(lost)} of {len(infos)} night images have no day image in {folder}/**/*.csv, "
                f"for instance {lost[0]}: extract Dark Zurich's corresp/ completely"
            )
        missing = [i["day_img_path"] for i in infos if not os.path.isfile(i["day_img_path"])]
        if missing:
            raise InputError(
                f"{len(missing)} day images that {folder} names are not there, for instance "
                f"{missing[0]}: extract Dark Zurich's {IMAGES}/train/day/ completely"
            )


def _read_pairs(folder: str) -> Iterator[tuple[str, str]]:
    """Yield night image and day image of each row of the csv files below ``folder``."""
    files = list_files(folder, ".csv")
    if not files:
        raise InputError(
            f"no correspondences (*.csv) below {folder}: extract Dark Zurich's corresp/ there, or "
            "drop corresp from the data set"
        )
    for name in files:
        path = os.path.join(folder, name)
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                for number, row in enumerate(csv.reader(file), 1):
                    cells = [cell.strip() for cell in row]
                    if not any(cells):
                        continue
                    if len(cells) < 2 or not (cells[0] and cells[1]):
                        raise InputError(
                            f"{path}, line {number}: expected a night image and a day image, "
                            f"separated by a comma, got {','.join(row)!r}: extract it again"
                        )
                    yield cells[0], cells[1]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{path} cannot be read ({reason}): extract it again") from error
