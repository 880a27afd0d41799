"""Nighttime Driving (Dai and Van Gool, ITSC 2018): fifty coarsely labelled night images."""

from mmseg.registry import DATASETS

from .basesegdataset import BaseSegDataset
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE


@DATASETS.register_module()
class NightDrivingDataset(BaseSegDataset):
    """Images ``*_leftImg8bit.png``, label maps ``*_gtCoarse_labelTrainIds.png``; both are included.

    The prefixes are ``leftImg8bit/test/night`` and ``gtCoarse_daytime_trainvaltest/test/night``.
    """

    METAINFO = {"classes": CITYSCAPES_CLASSES, "palette": CITYSCAPES_PALETTE}
    IMG_SUFFIX = "_leftImg8bit.png"
    SEG_MAP_SUFFIX = "_gtCoarse_labelTrainIds.png"
