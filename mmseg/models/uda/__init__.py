"""Domain-adaptation methods."""

from .self_training import LossTerm, SelfTraining
from .sepico import SePiCo
from .sepico_dark import SePiCoDark
from .source_only import SourceOnly
from .uda_decorator import UDADecorator, method_class

__all__ = [
    "LossTerm",
    "SePiCo",
    "SePiCoDark",
    "SelfTraining",
    "SourceOnly",
    "UDADecorator",
    "method_class",
]
