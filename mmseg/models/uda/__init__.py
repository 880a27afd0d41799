"""Domain-adaptation methods."""

from .feature_distance import FeatureDistance
from .masked_consistency import MaskedConsistency
from .self_training import LossTerm, SelfTraining
from .sepico import SePiCo
from .sepico_dark import SePiCoDark
from .source_only import SourceOnly
from .uda_decorator import UDADecorator, method_class, part_class

__all__ = [
    "FeatureDistance",
    "LossTerm",
    "MaskedConsistency",
    "SePiCo",
    "SePiCoDark",
    "SelfTraining",
    "SourceOnly",
    "UDADecorator",
    "method_class",
    "part_class",
]
