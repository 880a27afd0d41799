"""The canvas that scenes are painted on: larger than the image, drawn in fixed-point numbers."""

import cv2
import numpy as np

SUPERSAMPLING = 2
"""Images are painted this many times larger and reduced, which smooths the edges."""

FIXED_POINT = 4
"""Fraction bits of the coordinates handed to OpenCV."""


def to_fixed(pixels: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) -> the fixed-point int32 coordinates of the larger canvas."""
    # The centre of pixel x is the middle of its SUPERSAMPLING columns.
    larger = pixels * SUPERSAMPLING + (SUPERSAMPLING - 1) / 2
    return np.rint(larger * 2**FIXED_POINT).astype(np.int32)


def darken(canvas: np.ndarray, polygon: np.ndarray, factor: float) -> None:
    """Multiply the pixels inside a fixed-point polygon by ``factor``."""
    corners = polygon >> FIXED_POINT
    left, top = np.maximum(corners.min(0), 0)
    right, bottom = corners.max(0) + 2
    area = canvas[top:bottom, left:right]
    if area.size == 0:
        return
    mask = np.zeros(area.shape[:2], np.uint8)
    offset = np.array([left, top], np.int32) << FIXED_POINT
    cv2.fillPoly(mask, [polygon - offset], 1, cv2.LINE_8, FIXED_POINT)
    area[mask > 0] = (area[mask > 0] * factor).astype(np.uint8)
