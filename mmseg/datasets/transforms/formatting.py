"""Packing of arrays for the model's data preprocessor."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData

from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample


@TRANSFORMS.register_module()
class PackSegInputs(BaseTransform):
    """Pack a sample as ``dict(inputs, data_samples)``.

    ``inputs`` is the image as a (3, H, W) uint8 tensor, BGR; ``data_samples`` a
    :class:`SegDataSample` with, if a label map was read, ``gt_sem_seg`` (1, H, W) uint8.

    Args:
        meta_keys: entries of the results to keep as metainfo, if present. ``use_class_weight``,
            which predictions depend on, is always kept.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            "img_path",
            "seg_map_path",
            "ori_shape",
            "img_shape",
            "scale_factor",
            "flip",
            "flip_direction",
            "condition",
            "ignored_edges",
            "ignored_margins",
            "crop_box",
            "uncropped_shape",
        ),
    ) -> None:
        self.meta_keys = (*meta_keys, "use_class_weight")

    def transform(self, results: dict) -> dict:
        """Copy image and label once; a view would send the whole image to the main process."""
        sample = SegDataSample(
            metainfo={key: results[key] for key in self.meta_keys if key in results}
        )
        if "gt_seg_map" in results:
            label = torch.from_numpy(np.array(results["gt_seg_map"][None], order="C"))
            sample.gt_sem_seg = PixelData(data=label)
        image = np.array(results["img"].transpose(2, 0, 1), order="C")
        return {"inputs": torch.from_numpy(image), "data_samples": sample}
