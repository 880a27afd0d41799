"""Make label maps of train ids, and the statistics for rare class sampling.

The converters skip existing label maps (but count them), write files atomically, and continue after
a damaged file. The statistics are three files in the data root, written only if no file is damaged:

- ``sample_class_stats.json``: ``[{class: pixels, ..., "file": path}, ...]``
- ``sample_class_stats_dict.json``: ``{path: {class: pixels, ...}, ...}``
- ``samples_with_class.json``: ``{class: [[path, pixels], ...], ...}``

Paths are those of the train-id maps relative to the data root, so that it can be moved or linked.
"""

from .cityscapes import convert_cityscapes, draw_train_ids
from .gta import convert_gta
from .label_files import ConversionReport
from .statistics import (
    ClassStatistics,
    count_dataset,
    count_folder,
    counted_dataset,
    train_source,
)
from .synthia import convert_synthia

__all__ = [
    "ClassStatistics",
    "ConversionReport",
    "convert_cityscapes",
    "convert_gta",
    "convert_synthia",
    "count_dataset",
    "count_folder",
    "counted_dataset",
    "draw_train_ids",
    "train_source",
]
