"""Domain-adaptation methods."""

from .sepico import SePiCo
from .sepico_dark import SePiCoDark
from .source_only import SourceOnly
from .uda_decorator import UDADecorator

__all__ = ["SePiCo", "SePiCoDark", "SourceOnly", "UDADecorator"]
