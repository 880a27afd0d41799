"""GTA V, "Playing for Data" (Richter et al., ECCV 2016): synthetic streets."""

from mmseg.registry import DATASETS

from .basesegdataset import BaseSegDataset
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE


@DATASETS.register_module()
class GTADataset(BaseSegDataset):
    """Images ``images/*.png``, label maps ``labels/*_labelTrainIds.png`` made by the converter."""

    METAINFO = {"classes": CITYSCAPES_CLASSES, "palette": CITYSCAPES_PALETTE}
    IMG_SUFFIX = ".png"
    SEG_MAP_SUFFIX = "_labelTrainIds.png"
    CONVERTER = "gta"
