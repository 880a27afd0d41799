"""Transforms for data pipelines; ``Resize`` and ``RandomFlip`` come from mmcv."""

from .crop import RandomCrop
from .formatting import PackSegInputs
from .ignore_margins import IgnoreMargins
from .loading import LoadAnnotations, LoadImageFromFile

__all__ = ["IgnoreMargins", "LoadAnnotations", "LoadImageFromFile", "PackSegInputs", "RandomCrop"]
