"""Converter for GTA, whose labels are palette PNGs of Cityscapes' label ids."""

from pathlib import Path

import cv2
import numpy as np

from mmseg.datasets.class_names import IGNORE_INDEX
from mmseg.datasets.image_files import UnfitLabel, count_values, read_label

from .label_files import ConversionReport, convert_images, train_id_table
from .statistics import report_and_statistics

# Label ids are 0 to 34: Cityscapes' 0-33, and 34 for license plates.
NUM_LABEL_IDS = 35


def convert_gta(data_root: str | Path, nproc: int = 1) -> ConversionReport:
    """Write ``labels/*_labelTrainIds.png`` next to GTA's label files, and statistics.

    Raises:
        InputError: if there are no label files.
    """
    root = Path(data_root)
    results = convert_images(root, "labels", "images", read_gta_label, nproc)
    return report_and_statistics(root, results)


def read_gta_label(path: str) -> np.ndarray:
    """Read label ids as train ids (H, W) uint8; 255 stays.

    Raises:
        UnfitLabel: if the file holds a value that is not a label id.
        InputError: if it is damaged.
    """
    label_ids = read_label(path)
    strange = np.flatnonzero(count_values(label_ids)[NUM_LABEL_IDS:IGNORE_INDEX]) + NUM_LABEL_IDS
    if strange.size:
        fault = f"which is not a label id (0-{NUM_LABEL_IDS - 1}): extract GTA's labels again"
        message = f"{path} holds the value {strange[0]}, {fault}"
        raise UnfitLabel(message, fault, strange.tolist())
    return cv2.LUT(label_ids, train_id_table())
