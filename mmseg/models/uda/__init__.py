"""Domain-adaptation methods."""

from .sepico import SePiCo
from .source_only import SourceOnly
from .uda_decorator import UDADecorator

__all__ = ["SePiCo", "SourceOnly", "UDADecorator"]
