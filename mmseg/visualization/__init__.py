"""Pictures of labels, predictions and training; charts."""

from .colors import colorize, denormalize, heatmap, overlay
from .panels import legend, panel, save_image, stack

__all__ = [
    "colorize",
    "denormalize",
    "heatmap",
    "legend",
    "overlay",
    "panel",
    "save_image",
    "stack",
]
