"""Converter for GTA, whose labels are palette PNGs of Cityscapes' label ids."""

from pathlib import Path

import numpy as np

from .label_files import ConversionReport, convert_images, read_label_ids
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
    """Read a label file of GTA, see :func:`~.label_files.read_label_ids`."""
    return read_label_ids(path, NUM_LABEL_IDS, "extract GTA's labels again")
