"""Convert labels, images and weights to RGB pictures."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Picture = NDArray[np.uint8]  # (H, W, 3), RGB
Color = tuple[int, int, int]


def colorize(
    label: NDArray[np.integer], palette: Sequence[Sequence[int]], ignore_color: Color = (0, 0, 0)
) -> Picture:
    """Give every pixel the colour of its class.

    Args:
        label: (H, W) class indices; others get ``ignore_color``.
        palette: (red, green, blue) of each class.
        ignore_color: colour of pixels without a class.

    Returns:
        (H, W, 3) uint8.
    """
    colors = np.array([*palette, ignore_color], dtype=np.uint8)
    return colors[np.where(_known(label, palette), label, np.intp(len(palette)))]


def overlay(
    image: Picture, label: NDArray[np.integer], palette: Sequence[Sequence[int]], opacity: float
) -> Picture:
    """Overlay the class colours on an image; pixels without a class show only the image.

    Args:
        image: (H, W, 3) uint8.
        label: (H, W) class indices.
        palette: (red, green, blue) of each class.
        opacity: opacity of the colours, 0 (only the image) to 1 (only the colours).

    Raises:
        ValueError: if sizes differ, or the opacity is outside [0, 1].
    """
    if image.shape[:2] != label.shape:
        raise ValueError(f"image {image.shape[:2]} and label {label.shape} differ in size")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be in [0, 1], not {opacity}")
    mixed = colorize(label, palette)
    cv2.addWeighted(image, 1 - opacity, mixed, opacity, 0, dst=mixed)
    np.copyto(mixed, image, where=~_known(label, palette)[..., None])
    return mixed


def _known(label: NDArray[np.integer], palette: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    return (label >= 0) & (label < len(palette))


def denormalize(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Picture:
    """Undo the normalisation of a network's input.

    Args:
        image: (3, H, W) floats, RGB, on any device.
        mean: mean of the three channels, in [0, 255].
        std: standard deviation of the three channels.

    Returns:
        (H, W, 3) uint8, clipped to [0, 255].
    """
    values = image.detach().cpu().float().permute(1, 2, 0).numpy()
    values = values * np.asarray(std, np.float32) + np.asarray(mean, np.float32)
    return np.rint(values).clip(0, 255).astype(np.uint8)


def heatmap(weights: NDArray[np.floating]) -> Picture:
    """Colour weights from dark blue (0) over green to yellow (1).

    Args:
        weights: (H, W), clipped to [0, 1].
    """
    levels = np.rint(np.asarray(weights, np.float32).clip(0, 1) * 255).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1].copy()
