"""Test-time augmentation."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from torch import nn

from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils.setting_types import PartConfig

from .encoder_decoder import segmentors_of
from .prediction import confidence, predicted_classes


@MODELS.register_module()
class SegTTAModel(BaseTTAModel):
    """Average the class probabilities of several views (flips, scales) of each image.

    The views come from mmcv's ``TestTimeAug`` transform; the original size and orientation of each
    is restored before averaging. Class weights are not used, as published, unless they are
    switched on for all images.

    Args:
        module: a segmentor or a method with one, or the config of either.
        data_preprocessor: replaces the one in ``module``, if that is a config.

    Raises:
        ValueError: if the module contains no :class:`EncoderDecoder`.
    """

    def __init__(
        self, module: nn.Module | PartConfig, data_preprocessor: PartConfig | None = None
    ) -> None:
        if isinstance(module, dict):
            if data_preprocessor is not None:
                module = {**module, "data_preprocessor": data_preprocessor}
            model: nn.Module = MODELS.build(module)
        else:
            model = module
        super().__init__(model)
        segmentors = segmentors_of(model)
        if not segmentors:
            raise ValueError(f"{type(model).__name__} holds no EncoderDecoder to average over")
        for segmentor in segmentors:
            segmentor.keep_logits = True
            if segmentor.class_weights == "auto":
                segmentor.class_weights = "off"

    def merge_preds(
        self, data_samples_list: Sequence[Sequence[SegDataSample]]
    ) -> list[SegDataSample]:
        """Average views.

        Args:
            data_samples_list: for each image the predictions of its views, with ``seg_logits``.

        Returns:
            For each image one sample with ``pred_sem_seg`` and ``seg_logits``, the logarithm of the
            mean probabilities.
        """
        return [self._merge(views) for views in data_samples_list]

    @staticmethod
    def _merge(views: Sequence[SegDataSample]) -> SegDataSample:
        mean = sum(view.seg_logits.data.float().softmax(dim=0) for view in views) / len(views)
        merged = SegDataSample(
            metainfo={
                name: value
                for name, value in views[0].metainfo.items()
                if name in ("img_path", "seg_map_path", "ori_shape", "condition")
            }
        )
        if "gt_sem_seg" in views[0]:
            merged.gt_sem_seg = views[0].gt_sem_seg
        merged.pred_sem_seg = PixelData(data=predicted_classes(mean))
        log_mean = mean.clamp_min(torch.finfo(mean.dtype).tiny).log()
        merged.seg_logits = PixelData(data=log_mean)
        if "seg_confidence" in views[0]:
            merged.seg_confidence = PixelData(data=confidence(log_mean))
        return merged
