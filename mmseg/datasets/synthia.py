"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): synthetic streets."""

from mmseg.registry import DATASETS

from .basesegdataset import BaseSegDataset
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE


@DATASETS.register_module()
class SynthiaDataset(BaseSegDataset):
    """Images ``RGB/*.png``, label maps ``GT/LABELS/*_labelTrainIds.png`` made by the converter.

    It has the classes of Cityscapes except terrain, truck and train.
    """

    METAINFO = {"classes": CITYSCAPES_CLASSES, "palette": CITYSCAPES_PALETTE}
    IMG_SUFFIX = ".png"
    SEG_MAP_SUFFIX = "_labelTrainIds.png"
    CONVERTER = "synthia"
    absent_classes = ("terrain", "truck", "train")
