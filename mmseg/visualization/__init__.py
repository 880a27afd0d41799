"""Pictures of labels, predictions and training; charts."""

from .colors import colorize, denormalize, heatmap, overlay
from .panels import comparison_picture, legend, panel, save_image, stack

__all__ = [
    "colorize",
    "comparison_picture",
    "denormalize",
    "heatmap",
    "legend",
    "overlay",
    "panel",
    "save_image",
    "stack",
]
