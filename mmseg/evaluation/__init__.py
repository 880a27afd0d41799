"""Metrics, reports and files of predictions."""

from .functional import ClassScores, confusion_matrix, dice_and_fscore, iou_and_accuracy
from .iou_metric import IoUMetric
from .report import (
    comparison_table,
    condition_table,
    methods_table,
    per_class_table,
    result_dict,
    side_by_side,
    summary_of,
)
from .writers import PredictionWriter

__all__ = [
    "ClassScores",
    "IoUMetric",
    "PredictionWriter",
    "comparison_table",
    "condition_table",
    "confusion_matrix",
    "dice_and_fscore",
    "iou_and_accuracy",
    "methods_table",
    "per_class_table",
    "result_dict",
    "side_by_side",
    "summary_of",
]
