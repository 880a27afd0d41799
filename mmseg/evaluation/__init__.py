"""Metrics, reports and files of predictions."""

from .functional import ClassScores, confusion_matrix, iou_and_accuracy
from .metrics import IoUMetric
from .prediction_writer import PredictionWriter
from .report import comparison_table, per_class_scores, per_class_table, result_dict

__all__ = [
    "ClassScores",
    "IoUMetric",
    "PredictionWriter",
    "comparison_table",
    "confusion_matrix",
    "iou_and_accuracy",
    "per_class_scores",
    "per_class_table",
    "result_dict",
]
