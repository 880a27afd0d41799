"""High-level functions: build a model from a config, predict and test with it."""

from mmseg.evaluation.engine import predictions
from mmseg.evaluation.report import report
from mmseg.evaluation.writers import Outputs

from .evaluate import evaluate, evaluate_on
from .inference import inference_model
from .init_model import init_model, select_device
from .test_data import test_loader

__all__ = [
    "Outputs",
    "evaluate",
    "evaluate_on",
    "inference_model",
    "init_model",
    "predictions",
    "report",
    "select_device",
    "test_loader",
]
