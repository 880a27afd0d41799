"""BDD100k-night: the night images of BDD100K (Yu et al., CVPR 2020) whose labels are sound."""

import os
from collections.abc import Mapping

from mmseg.registry import DATASETS
from mmseg.utils import InputError

from .basesegdataset import BaseSegDataset, without_suffix
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE


@DATASETS.register_module()
class BDD100KNightDataset(BaseSegDataset):
    """``<split>/*.jpg`` and ``<split>/*.png``, both part of the data set, named by a list file.

    The prefixes are ``images/10k`` and ``labels/sem_seg/masks``, the list file is ``ann_file``.
    Its lines are paths of images or label maps; folders above the split, the split and the suffix
    may be there or not: ``/data/bdd100k/images/10k/val/a.jpg``, ``val/a.jpg`` and ``a`` are one.

    Raises:
        InputError: if there is no list, or if an image of it is not there or in two splits; see
            also :class:`BaseSegDataset`.
    """

    METAINFO = {"classes": CITYSCAPES_CLASSES, "palette": CITYSCAPES_PALETTE}
    IMG_SUFFIX = ".jpg"
    SEG_MAP_SUFFIX = ".png"

    def _images(self, folder: str) -> dict[str, str]:
        if not os.path.isfile(self.ann_file):
            raise InputError(
                f"{self.ann_file or 'ann_file'} is not there, the list of the night images below "
                f"{folder}: write their paths into such a file, one a line (see data/README.md)"
            )
        return super()._images(folder)

    def _find_listed(self, line: str, there: Mapping[str, str]) -> str | None:
        path = without_suffix(line, (self.img_suffix, self.seg_map_suffix))
        while "/" in path and path not in there:
            path = path.partition("/")[2]
        if path in there:
            return path
        same = [name for name in there if name.endswith(f"/{path}")]
        if len(same) > 1:
            raise InputError(
                f"list {self.ann_file}: {line} may be {same[0]} or {same[1]}: put the folder "
                "before the name"
            )
        return same[0] if same else None
