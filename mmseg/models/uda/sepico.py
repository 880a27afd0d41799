"""SePiCo: semantic-guided pixel contrast for domain-adaptive segmentation (TPAMI 2023).

Shapes: B images, A feature dimensions, H x W pixels, h x w feature positions.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, cast

from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from mmseg.models.segmentors import EncoderDecoderProjector
from mmseg.models.utils.label_downscale import downscale_label
from mmseg.models.utils.ours_transforms import ClassBalancedCrop, crop_boxes
from mmseg.models.utils.proto_estimator import ProtoEstimator
from mmseg.registry import MODELS
from mmseg.utils.phases import phase
from mmseg.utils.setting_types import PartConfig, Size2d

from .self_training import Batch, PseudoLabel, SelfTraining
from .uda_decorator import Losses


@MODELS.register_module()
class SePiCo(SelfTraining):
    """Self-training with pixel contrast to the class prototypes of the source.

    Args:
        segmentor: config of an ``EncoderDecoderProjector``.
        data_preprocessor: config of the ``SegDataPreProcessor`` of both domains.
        contrast: config of the :class:`ContrastiveLoss`.
        prototypes: config of a :class:`ProtoEstimator`; one is made for each feature level.
        num_levels: feature levels that the projection head returns.
        start_contrast_iter: first iteration with contrastive losses.
        pseudo_crop: whether to crop the target by :class:`ClassBalancedCrop`.
        crop_size: (h, w) of that crop.
        cat_max_ratio: see :class:`ClassBalancedCrop`.
        regenerate_pseudo_label: whether to pseudo-label the crop again instead of cropping the
            pseudo-label.
        augment_source_and_target: see :class:`UDADecorator`.
        self_training: the other arguments of :class:`SelfTraining`.
    """

    def __init__(
        self,
        segmentor: PartConfig,
        data_preprocessor: PartConfig,
        contrast: PartConfig,
        prototypes: PartConfig,
        num_levels: PositiveInt = 1,
        start_contrast_iter: NonNegativeInt = 3000,
        pseudo_crop: bool = True,
        crop_size: Size2d = (640, 640),
        cat_max_ratio: Annotated[float, Field(gt=0, le=1)] = 0.75,
        regenerate_pseudo_label: bool = True,
        augment_source_and_target: bool = True,
        **self_training: Any,
    ) -> None:
        self_training["augment_source_and_target"] = augment_source_and_target
        super().__init__(segmentor, data_preprocessor, **self_training)
        self.contrast = MODELS.build(contrast)
        modules = nn.ModuleList(MODELS.build(prototypes) for _ in range(num_levels))
        self.prototypes = cast(Sequence[ProtoEstimator], modules)
        num_classes = self.prototypes[0].num_classes
        if self.contrast.variant == "bank" and not self.prototypes[0].memory_length:
            raise ValueError('variant "bank" needs prototypes with a memory_length above 0')
        self.ignore_index = self.contrast.ignore_index
        if 0 <= self.ignore_index < num_classes:
            raise ValueError(f"ignore_index {self.ignore_index} of the contrast is a class")
        self.start_contrast_iter = start_contrast_iter
        self.class_balanced_crop = (
            ClassBalancedCrop(crop_size, num_classes, cat_max_ratio) if pseudo_crop else None
        )
        self.crops_target = pseudo_crop
        self.regenerate_pseudo_label = regenerate_pseudo_label

    @property
    def contrast_now(self) -> bool:
        """Whether this iteration has contrastive losses."""
        return self.iteration >= self.start_contrast_iter

    def choose_target(self, views: list[Tensor]) -> tuple[Tensor, PseudoLabel]:
        """Pseudo-label the target and crop each image to the most balanced box (CBC).

        Returns:
            The crop of the first view (B, 3, h, w) and its pseudo-label.
        """
        image, pseudo = super().choose_target(views)
        if self.class_balanced_crop is None:
            return image, pseudo
        with phase("crop"):
            boxes = self.class_balanced_crop(pseudo.label)
            size = self.class_balanced_crop.crop_size
            crops = [crop_boxes(view, boxes, size) for view in views]
        self.show(crop_boxes=boxes)
        if self.regenerate_pseudo_label:
            with phase("teacher"):
                return crops[0], self.pseudo_label(crops)
        return crops[0], PseudoLabel(crop_boxes(pseudo.label, boxes, size), pseudo.confident)

    def teach(self, batch: Batch) -> None:
        """Update the prototypes by the teacher's features of the weakly augmented source."""
        with phase("teacher"):
            features = self.project(self.ema_model, self.ema_model.extract_feat(batch.source))
        with phase("statistics"):
            for feature, prototypes in zip(features, self.prototypes, strict=True):
                small = downscale_label(
                    batch.source_label,
                    feature.shape[-2:],
                    self.contrast.min_ratio,
                    prototypes.num_classes,
                    self.ignore_index,
                )
                prototypes.update(feature.permute(0, 2, 3, 1).flatten(0, 2), small.flatten())

    def losses(self, batch: Batch) -> dict[str, Callable[[], Losses]]:
        """Return passes of source, target (from ``start_contrast_iter`` on) and mixed images."""
        losses = super().losses(batch)
        if not self.contrast_now:
            return losses
        target = (batch.target, batch.pseudo_label, batch.weight)
        return {"src": losses.pop("src"), "tgt": lambda: self.target_loss(*target), **losses}

    def on_source(self, image: Tensor, feats: list[Tensor], label: Tensor) -> Losses:
        """Add the contrast of the source with its ground truth."""
        losses = super().on_source(image, feats, label)
        return losses | self.contrast_losses(feats, label) if self.contrast_now else losses

    def target_loss(self, image: Tensor, pseudo_label: Tensor, weight: Tensor) -> Losses:
        """Contrast the strongly augmented target crop with its pseudo-label."""
        label = pseudo_label.masked_fill(weight == 0, self.ignore_index)
        return self.contrast_losses(self.model.extract_feat(self.augment(image)), label)

    def contrast_losses(self, feats: list[Tensor], label: Tensor) -> Losses:
        """Compute ``aux.loss_cl``, the contrast of the student's features to the prototypes."""
        features = self.project(self.model, feats)
        return {"aux.loss_cl": self.contrast(features, label, list(self.prototypes))}

    @staticmethod
    def project(segmentor: EncoderDecoderProjector, feats: list[Tensor]) -> list[Tensor]:
        """Project maps to features (B, A, h, w) of each level."""
        features = segmentor.project(feats)
        return [features] if isinstance(features, Tensor) else list(features)

    @classmethod
    def set_crop_size(cls, config: dict[str, Any], side: int) -> None:
        """Set the size of crops in a config, see :meth:`UDADecorator.set_crop_size`."""
        super().set_crop_size(config, side)
        config["crop_size"] = (side, side)

    @classmethod
    def shrink(cls, config: dict[str, Any], channels: int, iterations: int) -> None:
        """Shrink a config, see :meth:`UDADecorator.shrink`."""
        config["prototypes"]["feature_dim"] = channels
        config["start_contrast_iter"] = iterations // 3

    @classmethod
    def scale_schedule(cls, config: dict[str, Any], share: float) -> None:
        """Scale the start of contrast, see :meth:`UDADecorator.scale_schedule`."""
        config["start_contrast_iter"] = round(config["start_contrast_iter"] * share)

    def start_all_losses(self, delay: int = 0) -> None:
        """Start all losses, see :meth:`UDADecorator.start_all_losses`."""
        super().start_all_losses(delay)
        self.start_contrast_iter = self.iteration + delay
