"""BDD100k-night: night images of BDD100K (Yu et al., CVPR 2020) with correct labels."""

import os
from collections.abc import Mapping

from mmseg.registry import DATASETS
from mmseg.utils import InputError

from .basesegdataset import BaseSegDataset, without_suffix
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE


@DATASETS.register_module()
class BDD100KNightDataset(BaseSegDataset):
    """Images ``<split>/*.jpg`` and label maps ``<split>/*.png``, selected by a list file.

    The data set includes both. The prefixes are ``images/10k`` and ``labels/sem_seg/masks``, the
    list file is ``ann_file``. Its lines are paths of images or label maps; the suffix, the split
    and the folders above are optional: ``/data/bdd100k/images/10k/val/a.jpg``, ``val/a.jpg`` and
    ``a`` are the same.

    Raises:
        InputError: if there is no list, or an image of it does not exist or is in two splits; see
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
        images = (self.img_suffix,) if isinstance(self.img_suffix, str) else self.img_suffix
        path = without_suffix(line, (*images, self.seg_map_suffix))
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
