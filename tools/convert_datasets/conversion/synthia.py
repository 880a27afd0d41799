"""Converter for SYNTHIA-RAND-CITYSCAPES: 16-bit PNGs with the class in the first channel."""

from pathlib import Path

import cv2
import numpy as np

from mmseg.datasets.class_names import NUM_SYNTHIA_IDS, SYNTHIA_ID_TO_TRAIN_ID, train_id_table
from mmseg.datasets.image_files import UnfitLabel, read_16_bit_image

from .label_files import ConversionReport, convert_images
from .statistics import report_and_statistics


def convert_synthia(data_root: str | Path, nproc: int = 1) -> ConversionReport:
    """Write ``GT/LABELS/*_labelTrainIds.png`` next to SYNTHIA's label files, and statistics.

    Raises:
        InputError: if there are no label files.
    """
    root = Path(data_root)
    results = convert_images(root, "GT/LABELS", "RGB", read_synthia_label, nproc)
    return report_and_statistics(root, results)


def read_synthia_label(path: str) -> np.ndarray:
    """Read a label file as train ids (H, W) uint8.

    Raises:
        UnfitLabel: if its class channel has a value that is not an id of SYNTHIA.
        InputError: if the file is damaged.
    """
    # OpenCV returns the file's first channel last.
    ids = read_16_bit_image(path)[..., -1]
    largest = int(ids.max())
    if largest >= NUM_SYNTHIA_IDS:
        fault = f"which is not an id of SYNTHIA (0-{NUM_SYNTHIA_IDS - 1}): extract GT/LABELS again"
        message = f"{path} holds the value {largest}, {fault}"
        raise UnfitLabel(message, fault, np.unique(ids[ids >= NUM_SYNTHIA_IDS]).tolist())
    return cv2.LUT(ids.astype(np.uint8), train_id_table(SYNTHIA_ID_TO_TRAIN_ID))
