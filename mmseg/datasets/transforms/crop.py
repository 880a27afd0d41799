"""Random crops that are not filled by one class, and hold enough of a wanted one."""

from typing import Annotated

import numpy as np
from mmcv.transforms import BaseTransform
from pydantic import Field

from mmseg.registry import TRANSFORMS
from mmseg.utils.setting_types import LabelValue, Size2d

from ..image_files import count_values

Box = tuple[int, int, int, int]


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Crop image and label map at random; what is smaller than the crop stays as it is.

    Up to 10 boxes are drawn until one holds at least two classes and each of them less than
    ``cat_max_ratio`` of the valid pixels; if none does, an eleventh is taken unchecked. If the
    results name a ``rare_class``, this is repeated up to 10 times until the box holds more than
    ``rare_class_min_pixels`` pixels of it (rare class sampling; Hoyer et al., DAFormer, CVPR 2022),
    and the last box is kept. Nothing is copied or decoded on the way: only views of the label map
    are counted.

    Args:
        crop_size: height and width.
        cat_max_ratio: a box is drawn again if one class holds this share of it or more; at 1.0
            every box will do.
        ignore_index: label that is no class.
    """

    RETRIES = 10

    def __init__(
        self,
        crop_size: Size2d,
        cat_max_ratio: Annotated[float, Field(gt=0, le=1)] = 0.75,
        ignore_index: LabelValue = 255,
    ) -> None:
        self.crop_size = tuple(crop_size)
        self.cat_max_ratio = cat_max_ratio
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Crop ``img`` and, if it is there, ``gt_seg_map``, to views; set ``img_shape``."""
        label = results.get("gt_seg_map")
        if label is None:
            box = self._draw_box(results["img"].shape[:2])
        else:
            box = self._choose_box(
                label, results.get("rare_class"), results.get("rare_class_min_pixels", 0)
            )
            results["gt_seg_map"] = _crop(label, box)
        results["img"] = _crop(results["img"], box)
        results["img_shape"] = results["img"].shape[:2]
        return results

    def _choose_box(self, label: np.ndarray, rare_class: int | None, min_pixels: float) -> Box:
        box = self._balanced_box(label)
        if rare_class is None:
            return box
        for _ in range(self.RETRIES):
            if np.count_nonzero(_crop(label, box) == rare_class) > min_pixels:
                break
            box = self._balanced_box(label)
        return box

    def _balanced_box(self, label: np.ndarray) -> Box:
        """Draw a box in which no class dominates, or an unchecked one after ten that fail."""
        box = self._draw_box(label.shape)
        if self.cat_max_ratio == 1:
            return box
        for _ in range(self.RETRIES):
            counts = count_values(_crop(label, box))
            counts[self.ignore_index] = 0
            if is_balanced(counts, self.cat_max_ratio):
                break
            box = self._draw_box(label.shape)
        return box

    def _draw_box(self, shape: tuple[int, int]) -> Box:
        top = np.random.randint(0, max(shape[0] - self.crop_size[0], 0) + 1)
        left = np.random.randint(0, max(shape[1] - self.crop_size[1], 0) + 1)
        return top, top + self.crop_size[0], left, left + self.crop_size[1]


def is_balanced(counts: np.ndarray, cat_max_ratio: float) -> bool:
    """Whether two classes are present and each holds less than ``cat_max_ratio`` of the pixels.

    Args:
        counts: pixels per class, without the ignored ones.
        cat_max_ratio: in (0, 1].
    """
    return np.count_nonzero(counts) > 1 and counts.max() < cat_max_ratio * counts.sum()


def _crop(array: np.ndarray, box: Box) -> np.ndarray:
    top, bottom, left, right = box
    return array[top:bottom, left:right]
