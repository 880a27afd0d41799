"""Data sets, samplers and transforms. Importing this package registers them."""

from .basesegdataset import BaseSegDataset
from .cityscapes import CityscapesDataset
from .class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, LABEL_ID_TO_TRAIN_ID
from .gta import GTADataset
from .samplers import UDASampler
from .transforms import LoadAnnotations, LoadImageFromFile, PackSegInputs, RandomCrop
from .uda_dataset import UDADataset

__all__ = [
    "CITYSCAPES_CLASSES",
    "CITYSCAPES_PALETTE",
    "LABEL_ID_TO_TRAIN_ID",
    "BaseSegDataset",
    "CityscapesDataset",
    "GTADataset",
    "LoadAnnotations",
    "LoadImageFromFile",
    "PackSegInputs",
    "RandomCrop",
    "UDADataset",
    "UDASampler",
]
