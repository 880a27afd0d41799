"""Metrics that a config names."""

from .iou_metric import IoUMetric

__all__ = ["IoUMetric"]
