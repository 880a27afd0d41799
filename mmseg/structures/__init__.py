"""Data structures of an image's annotations and predictions."""

from .seg_data_sample import SegDataSample, stack_labels

__all__ = ["SegDataSample", "stack_labels"]
