"""Data sets, samplers and transforms. Importing this package registers them."""

from .acdc import ACDCDataset
from .basesegdataset import BaseSegDataset
from .bdd100k_night import BDD100KNightDataset
from .cityscapes import CityscapesDataset
from .class_names import (
    CITYSCAPES_CLASSES,
    CITYSCAPES_PALETTE,
    CLASS_SUBSETS,
    LABEL_ID_TO_TRAIN_ID,
)
from .dark_zurich import DarkZurichDataset
from .folder import FolderDataset
from .gta import GTADataset
from .night_driving import NightDrivingDataset
from .samplers import UDASampler
from .synthia import SynthiaDataset
from .transforms import LoadAnnotations, LoadImageFromFile, PackSegInputs, RandomCrop
from .uda_dataset import UDADataset

__all__ = [
    "CITYSCAPES_CLASSES",
    "CITYSCAPES_PALETTE",
    "CLASS_SUBSETS",
    "LABEL_ID_TO_TRAIN_ID",
    "ACDCDataset",
    "BDD100KNightDataset",
    "BaseSegDataset",
    "CityscapesDataset",
    "DarkZurichDataset",
    "FolderDataset",
    "GTADataset",
    "LoadAnnotations",
    "LoadImageFromFile",
    "NightDrivingDataset",
    "PackSegInputs",
    "RandomCrop",
    "SynthiaDataset",
    "UDADataset",
    "UDASampler",
]
