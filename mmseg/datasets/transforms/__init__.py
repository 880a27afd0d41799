"""Transforms of the data pipelines; ``Resize`` and ``RandomFlip`` are mmcv's."""

from .crop import RandomCrop
from .formatting import PackSegInputs
from .loading import LoadAnnotations, LoadImageFromFile

__all__ = ["LoadAnnotations", "LoadImageFromFile", "PackSegInputs", "RandomCrop"]
