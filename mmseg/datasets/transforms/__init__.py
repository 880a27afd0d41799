"""Transforms for data pipelines; ``Resize`` and ``RandomFlip`` come from mmcv."""

from .crop import RandomCrop
from .formatting import PackSegInputs
from .loading import LoadAnnotations, LoadImageFromFile

__all__ = ["LoadAnnotations", "LoadImageFromFile", "PackSegInputs", "RandomCrop"]
