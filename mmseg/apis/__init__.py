"""What a program calls: building a model from a config and testing it."""

from .evaluate import Outputs, evaluate, report
from .init_model import init_model, select_device

__all__ = ["Outputs", "evaluate", "init_model", "report", "select_device"]
