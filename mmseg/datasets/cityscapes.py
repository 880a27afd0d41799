"""Cityscapes (Cordts et al., CVPR 2016): real streets."""

from mmseg.registry import DATASETS

from .basesegdataset import BaseSegDataset
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE


@DATASETS.register_module()
class CityscapesDataset(BaseSegDataset):
    """Images ``<city>/*_leftImg8bit.png``, label maps ``<city>/*_gtFine_labelTrainIds.png``.

    The converter makes the label maps. The split is part of the prefixes: ``leftImg8bit/train``
    and ``gtFine/train``.
    """

    IGNORED_EDGES = (15 / 640, 120 / 640)
    METAINFO = {"classes": CITYSCAPES_CLASSES, "palette": CITYSCAPES_PALETTE}
    IMG_SUFFIX = "_leftImg8bit.png"
    SEG_MAP_SUFFIX = "_gtFine_labelTrainIds.png"
    CONVERTER = "cityscapes"
