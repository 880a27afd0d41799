"""What a program calls: building a model from a config, predicting and testing with it."""

from .evaluate import evaluate, evaluate_on
from .inference import inference_model
from .init_model import init_model, select_device
from .outputs import Outputs
from .predicting import predictions, test_loader
from .result_text import report

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
