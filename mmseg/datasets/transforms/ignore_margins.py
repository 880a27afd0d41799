"""Margins of target images whose pseudo-labels are not trusted."""

import math

from mmcv.transforms import BaseTransform

from mmseg.registry import TRANSFORMS
from mmseg.utils.setting_types import Fraction


@TRANSFORMS.register_module()
class IgnoreMargins(BaseTransform):
    """Mark the margins of an image in which pseudo-labels have weight 0 (HRDA's release).

    It belongs after ``Resize``, ``RandomCrop`` and ``RandomFlip``: the margins are those of the
    whole image, wherever the crop lies.

    Args:
        margins: shares of the height at the top and at the bottom, and of the width at the left and
            at the right.
    """

    def __init__(self, margins: tuple[Fraction, Fraction, Fraction, Fraction]) -> None:
        self.margins = tuple(margins)

    def transform(self, results: dict) -> dict:
        """Set ``ignored_margins``: rows at the top and bottom, columns at the left and right."""
        height, width = results.get("uncropped_shape", results["img_shape"])
        top, bottom, left, right = results.get("crop_box", (0, height, 0, width))
        first, last, before, after = self.margins
        rows = _ignored(height, first, last, top, min(bottom, height))
        columns = _ignored(width, before, after, left, min(right, width))
        flipped = str(results.get("flip_direction")) if results.get("flip") else ""
        if flipped in ("horizontal", "diagonal"):
            columns = columns[::-1]
        if flipped in ("vertical", "diagonal"):
            rows = rows[::-1]
        results["ignored_margins"] = (*rows, *columns)
        return results


def _ignored(side: int, first: float, last: float, start: int, stop: int) -> tuple[int, int]:
    """Count the ignored pixels at both ends of ``start``..``stop``, a part of ``side`` pixels.

    A pixel of a resized image takes the margin of its nearest pixel before, rounded down.
    """
    begin = math.ceil(round(first * side, 6))
    end = side - math.floor(round(last * side, 6))
    return max(begin - start, 0), max(stop - end, 0)
