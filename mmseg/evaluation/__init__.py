"""Metrics, reports and files of predictions."""

from .comparison import (
    comparison_csv,
    comparison_latex,
    comparison_table,
    methods_of,
    methods_table,
)
from .functional import ClassScores, confusion_matrix, dice_and_fscore, iou_and_accuracy
from .iou_metric import IoUMetric
from .report import (
    condition_table,
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
    "comparison_csv",
    "comparison_latex",
    "comparison_table",
    "condition_table",
    "confusion_matrix",
    "dice_and_fscore",
    "iou_and_accuracy",
    "methods_of",
    "methods_table",
    "per_class_table",
    "result_dict",
    "side_by_side",
    "summary_of",
]
