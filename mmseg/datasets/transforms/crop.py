"""Random crops that are not dominated by one class, and contain enough of a rare class."""

from typing import Annotated

import numpy as np
from mmcv.transforms import BaseTransform
from pydantic import Field

from mmseg.registry import TRANSFORMS
from mmseg.utils.setting_types import LabelValue, Size2d

from ..image_files import count_values

Box = tuple[slice, slice]  # rows, columns


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Crop image and label map at random; images smaller than the crop are not cropped.

    Up to 10 boxes are drawn until one has at least two classes, each with less than
    ``cat_max_ratio`` of the valid pixels; otherwise an eleventh is used unchecked. If the results
    have a ``rare_class``, this is repeated up to 10 times until the box has more than
    ``rare_class_min_pixels`` pixels of it (rare class sampling; Hoyer et al., DAFormer, CVPR 2022),
    and the last box is used. Drawing boxes copies nothing: views of the label map are counted.

    Args:
        crop_size: (height, width).
        cat_max_ratio: a box is drawn again if one class has this share of it or more; 1.0 accepts
            every box.
        ignore_index: label of ignored pixels.
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
        """Crop ``img`` and, if present, ``gt_seg_map`` to views; set ``img_shape``.

        ``crop_box`` becomes the box (top, bottom, left, right) in the image before, whose shape is
        ``uncropped_shape``.
        """
        label = results.get("gt_seg_map")
        if label is None:
            box = self._draw_box(results["img"].shape[:2])
        else:
            box = self._choose_box(
                label, results.get("rare_class"), results.get("rare_class_min_pixels", 0)
            )
            results["gt_seg_map"] = label[box]
        rows, columns = box
        results["crop_box"] = (rows.start, rows.stop, columns.start, columns.stop)
        results["uncropped_shape"] = results["img"].shape[:2]
        results["img"] = results["img"][box]
        results["img_shape"] = results["img"].shape[:2]
        return results

    def _choose_box(self, label: np.ndarray, rare_class: int | None, min_pixels: float) -> Box:
        box = self._balanced_box(label)
        if rare_class is None:
            return box
        for _ in range(self.RETRIES):
            if np.count_nonzero(label[box] == rare_class) > min_pixels:
                break
            box = self._balanced_box(label)
        return box

    def _balanced_box(self, label: np.ndarray) -> Box:
        """Draw a box in which no class dominates, or after ten that fail an unchecked one."""
        box = self._draw_box(label.shape)
        if self.cat_max_ratio == 1:
            return box
        for _ in range(self.RETRIES):
            counts = count_values(label[box])
            counts[self.ignore_index] = 0
            if is_balanced(counts, self.cat_max_ratio):
                break
            box = self._draw_box(label.shape)
        return box

    def _draw_box(self, shape: tuple[int, int]) -> Box:
        top = np.random.randint(0, max(shape[0] - self.crop_size[0], 0) + 1)
        left = np.random.randint(0, max(shape[1] - self.crop_size[1], 0) + 1)
        return (
            slice(top, top + self.crop_size[0]),
            slice(left, left + self.crop_size[1]),
        )


def is_balanced(counts: np.ndarray, cat_max_ratio: float) -> bool:
    """Tell whether two classes are present, each with less than ``cat_max_ratio`` of the pixels.

    Args:
        counts: pixels per class, without the ignored ones.
        cat_max_ratio: share in (0, 1].
    """
    return np.count_nonzero(counts) > 1 and counts.max() < cat_max_ratio * counts.sum()
