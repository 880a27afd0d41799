"""Loading of images and label maps."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg.registry import TRANSFORMS
from mmseg.utils import InputError

from ..class_names import IGNORE_INDEX
from ..image_files import UnfitLabel, count_values, largest_class, read_image
from ..label_coding import read_label_map
from ..pairs import size_conflict


@TRANSFORMS.register_module()
class LoadImageFromFile(BaseTransform):
    """Decode ``img_path`` to ``img`` (H, W, 3) uint8 BGR; sets ``img_shape`` and ``ori_shape``."""

    def transform(self, results: dict) -> dict:
        """Load the image; raise InputError if it is missing, truncated or not an image."""
        results["img"] = read_image(results["img_path"])
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadAnnotations(BaseTransform):
    """Decode ``seg_map_path`` to ``gt_seg_map`` (H, W) uint8, the classes, and check it."""

    def transform(self, results: dict) -> dict:
        """Load the label; raise InputError if it is damaged, or size or values do not fit."""
        path = results.get("seg_map_path")
        if path is None:
            raise InputError(
                "the pipeline has LoadAnnotations but the data set reads no labels: "
                'set data_prefix["seg_map_path"] or drop the transform'
            )
        label = read_label_map(results)
        of_image = tuple(results["ori_shape"][::-1])
        conflict = size_conflict(results["img_path"], of_image, path, label.shape[::-1])
        if conflict is not None:
            raise InputError(f"{conflict}: replace or remove the pair")
        check_label_values(label, results["num_classes"], path)
        results["gt_seg_map"] = label
        return results


def check_label_values(label: np.ndarray, num_classes: int, path: str) -> None:
    """Raise UnfitLabel if ``label`` (H, W) uint8 has a value that is neither a class nor 255."""
    largest = largest_class(label)
    if largest >= num_classes:
        fault = (
            f"there are {num_classes} classes (0-{num_classes - 1}, and 255 for none): write these "
            "values or name more classes"
        )
        strange = np.flatnonzero(count_values(label)[num_classes:IGNORE_INDEX]) + num_classes
        message = f"{path} holds the value {largest}, but {fault}"
        raise UnfitLabel(message, fault, strange.tolist())
