"""Converter for SYNTHIA-RAND-CITYSCAPES: 16-bit PNGs with the class in the first channel."""

from pathlib import Path

import cv2
import numpy as np

from mmseg.datasets.file_checks import read_whole
from mmseg.datasets.image_files import UnfitLabel, decode
from mmseg.utils import InputError

from .label_files import ConversionReport, convert_images, train_id_table
from .statistics import report_and_statistics

# SYNTHIA's ids are 0 (void) to 22; parking slots, road works and lane markings have no train id.
NUM_SYNTHIA_IDS = 23
SYNTHIA_ID_TO_TRAIN_ID: dict[int, int] = {
    synthia_id: train_id
    for train_id, synthia_id in enumerate(
        (3, 4, 2, 21, 5, 7, 15, 9, 6, 16, 1, 10, 17, 8, 18, 19, 20, 12, 11)
    )
}


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
        InputError: if the file is damaged or of another kind.
    """
    image = decode(read_whole(path), cv2.IMREAD_UNCHANGED, path)
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"{path} has {image.dtype} values of shape {image.shape}: "
            "expected three 16-bit channels"
        )
    ids = image[..., -1]  # OpenCV returns the file's first channel last
    largest = int(ids.max())
    if largest >= NUM_SYNTHIA_IDS:
        fault = f"which is not an id of SYNTHIA (0-{NUM_SYNTHIA_IDS - 1}): extract GT/LABELS again"
        message = f"{path} holds the value {largest}, {fault}"
        raise UnfitLabel(message, fault, np.unique(ids[ids >= NUM_SYNTHIA_IDS]).tolist())
    return cv2.LUT(ids.astype(np.uint8), train_id_table(SYNTHIA_ID_TO_TRAIN_ID))
