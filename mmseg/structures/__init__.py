"""What travels with an image through pipelines, models and metrics."""

from .seg_data_sample import SegDataSample, stack_labels

__all__ = ["SegDataSample", "stack_labels"]
