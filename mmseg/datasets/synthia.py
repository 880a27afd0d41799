"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): synthetic streets."""

from mmseg.registry import DATASETS

from .basesegdataset import BaseSegDataset
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE


@DATASETS.register_module()
class SynthiaDataset(BaseSegDataset):
    """``RGB/*.png`` and ``GT/LABELS/*_labelTrainIds.png``, the latter made by the converter.

    Labelled with the classes of Cityscapes, of which it lacks terrain, truck and train.
    """

    METAINFO = {"classes": CITYSCAPES_CLASSES, "palette": CITYSCAPES_PALETTE}
    IMG_SUFFIX = ".png"
    SEG_MAP_SUFFIX = "_labelTrainIds.png"
    CONVERTER = "synthia"
    absent_classes = ("terrain", "truck", "train")
