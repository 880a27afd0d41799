"""SePiCo: semantic-guided pixel contrast for domain-adaptive segmentation (TPAMI 2023).

Shapes: B images, C classes, A feature dimensions, H x W pixels, h x w feature positions.
"""

import copy
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from mmengine.optim import OptimWrapper
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from mmseg.models.utils.dacs_transforms import class_mask, draw_mix_classes, mix
from mmseg.models.utils.label_downscale import downscale_label
from mmseg.models.utils.ours_transforms import RandomCrop, crop_boxes
from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.distributed import mean_over_ranks, sum_over_ranks
from mmseg.utils.phases import phase
from mmseg.utils.setting_types import Fraction, PartConfig, Size2d

from .teacher import switch_off_dropout, teacher_momentum, update_teacher
from .uda_decorator import EvalModel, JitterStrength, Losses, UDADecorator


@dataclass
class PseudoLabel:
    """What the teacher says of the target: label (B, H, W) long, and bool where it is confident."""

    label: Tensor
    confident: Tensor

    def confidence(self) -> Tensor:
        """q, scalar in [0, 1]: the confident share of all pixels, of all ranks."""
        confident = self.confident.sum()
        total = torch.full_like(confident, self.confident.numel())
        confident, total = sum_over_ranks(torch.stack([confident, total]))
        return confident / total


@MODELS.register_module()
class SePiCo(UDADecorator):
    """Self-training with pixel contrast against the class prototypes of the source.

    Args:
        segmentor: config of an ``EncoderDecoderProjector``: the student ``model``, and the teacher
            ``ema_model`` of the same shape.
        data_preprocessor: config of the ``SegDataPreProcessor`` of both domains.
        contrast: config of the :class:`ContrastiveLoss`.
        prototypes: config of a :class:`ProtoEstimator`; one is made for each feature level.
        num_levels: feature levels that the projection head returns.
        alpha: largest momentum of the teacher.
        pseudo_threshold: probability from which on a pseudo-label counts as confident.
        enable_self_training: whether the decoder learns from mixed images.
        start_contrast_iter: first iteration with contrastive losses.
        pseudo_crop: whether the target is cropped by :class:`RandomCrop`, else it is used whole.
        crop_size: (h, w) of that crop. cat_max_ratio: see :class:`RandomCrop`.
        regenerate_pseudo_label: pseudo-label the crop afresh rather than crop the pseudo-label.
        augment_mixed: whether the mixed images are jittered and blurred.
        color_jitter_strength, color_jitter_threshold, blur, augment_source_and_target: see
            :class:`UDADecorator`.

    Attributes:
        iteration: t, counted from 0 over restarts.
        keep_visuals: if set before an iteration, its images are left in ``visuals``.
    """

    def __init__(
        self,
        segmentor: PartConfig,
        data_preprocessor: PartConfig,
        contrast: PartConfig,
        prototypes: PartConfig,
        num_levels: PositiveInt = 1,
        alpha: Fraction = 0.999,
        pseudo_threshold: Fraction = 0.968,
        enable_self_training: bool = True,
        start_contrast_iter: NonNegativeInt = 3000,
        pseudo_crop: bool = True,
        crop_size: Size2d = (640, 640),
        cat_max_ratio: Annotated[float, Field(gt=0, le=1)] = 0.75,
        regenerate_pseudo_label: bool = True,
        color_jitter_strength: JitterStrength = 0.2,
        color_jitter_threshold: Fraction = 0.2,
        blur: bool = True,
        augment_source_and_target: bool = True,
        augment_mixed: bool = True,
    ) -> None:
        super().__init__(
            segmentor,
            data_preprocessor,
            color_jitter_strength,
            color_jitter_threshold,
            blur,
            augment_source_and_target,
        )
        self.ema_model = copy.deepcopy(self.model).requires_grad_(False)
        self.contrast = MODELS.build(contrast)
        self.prototypes = nn.ModuleList(MODELS.build(prototypes) for _ in range(num_levels))
        if self.contrast.variant == "bank" and not self.prototypes[0].memory_length:
            raise ValueError('variant "bank" needs prototypes with a memory_length above 0')
        self.alpha = alpha
        self.pseudo_threshold = pseudo_threshold
        self.enable_self_training = enable_self_training
        self.start_contrast_iter = start_contrast_iter
        self.class_balanced_crop = (
            RandomCrop(crop_size, self.prototypes[0].num_classes, cat_max_ratio)
            if pseudo_crop
            else None
        )
        self.regenerate_pseudo_label = regenerate_pseudo_label
        self.augment_mixed = augment_mixed
        self.ignore_index = self.contrast.ignore_index
        if 0 <= self.ignore_index < self.prototypes[0].num_classes:
            raise ValueError(f"ignore_index {self.ignore_index} of the contrast is a class")
        self.iteration = 0
        self.keep_visuals = False
        self.visuals: dict[str, Tensor] = {}
        self.train()

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One iteration: teacher, pseudo-labels, crop, statistics, three losses, one step.

        Args:
            data: collated ``dict(source=..., target=...)``; the target brings no label.
            optim_wrapper: of the student's parameters.

        Returns:
            Detached scalars to log: the losses by name, the confidence q and the share of target
            pixels without a pseudo-label.
        """
        source, source_label = self.images_and_label(data["source"])
        target_views = self.target_views(data)
        with phase("teacher"):
            update_teacher(self.ema_model, self.model, teacher_momentum(self.iteration, self.alpha))
        self.draw_augmentation()

        teaching = self.ema_model.weights_cast()
        with torch.no_grad(), optim_wrapper.optim_context(self), teaching:
            target, pseudo = self.learn_where_balanced(target_views)
            confidence = pseudo.confidence()
            edges = data["target"]["data_samples"][0].get("ignored_edges", (0.0, 0.0))
            weight = self.pixel_weight(pseudo.label, confidence, edges)
            self.update_prototypes(source, source_label)

        losses = {"src": lambda: self.source_loss(source, source_label)}
        if self.contrast_now:
            losses["tgt"] = lambda: self.target_loss(target, pseudo.label, weight)
        if self.enable_self_training:
            mixed = self.mix_domains(source, source_label, target, pseudo.label, weight)
            losses["mix"] = lambda: self.mix_loss(*mixed)
        log = self.train_on(losses, optim_wrapper)

        self.show(source_image=source, source_label=source_label, target_image=target_views[0])
        self.show(target_crop=target, pseudo_label=pseudo.label, pixel_weight=weight)
        self.iteration += 1
        log |= {"confidence": confidence, "ignored_pseudo_labels": (weight == 0).float().mean()}
        return mean_over_ranks(log)

    @property
    def contrast_now(self) -> bool:
        """Whether this iteration has contrastive losses."""
        return self.iteration >= self.start_contrast_iter

    def target_views(self, data: dict) -> list[Tensor]:
        """The views of the target that pseudo-labels are made from, each (B, 3, H, W).

        They are what the batch has under ``target`` and ``target_*``, in this order. The first one
        is what the student learns from.
        """
        names = ["target", *(name for name in data if name.startswith("target_"))]
        return [self.data_preprocessor(data[name], training=True)["inputs"] for name in names]

    def pseudo_label(self, views: list[Tensor]) -> PseudoLabel:
        """The teacher's arg-max, and the pixels it gives at least the threshold."""
        return self.confident_label(self.ema_model.encode_decode(views[0]).softmax(1))

    def confident_label(self, probability: Tensor) -> PseudoLabel:
        """The pseudo-label of class scores (B, C, H, W), confident at or above the threshold."""
        top, label = probability.max(1)
        return PseudoLabel(label, top >= self.pseudo_threshold)

    def learn_where_balanced(self, views: list[Tensor]) -> tuple[Tensor, PseudoLabel]:
        """Pseudo-label the target and cut out of each image the box with the best balance (CBC).

        Returns:
            The first view's crop (B, 3, h, w) and the pseudo-label on it.
        """
        with phase("teacher"):
            pseudo = self.pseudo_label(views)
        self.show(teacher_prediction=pseudo.label)
        if self.class_balanced_crop is None:
            return views[0], pseudo
        with phase("crop"):
            boxes = self.class_balanced_crop(pseudo.label)
            size = self.class_balanced_crop.crop_size
            crops = [crop_boxes(view, boxes, size) for view in views]
        self.show(crop_boxes=boxes)
        if self.regenerate_pseudo_label:
            with phase("teacher"):
                return crops[0], self.pseudo_label(crops)
        return crops[0], PseudoLabel(crop_boxes(pseudo.label, boxes, size), pseudo.confident)

    @staticmethod
    def pixel_weight(
        pseudo_label: Tensor, confidence: Tensor, ignored_edges: tuple[float, float]
    ) -> Tensor:
        """(B, H, W) weight of each pseudo-label: q, and 0 at the edges that are left out.

        Args:
            pseudo_label: (B, H, W). confidence: q, scalar.
            ignored_edges: shares of H at the top and at the bottom.
        """
        height = pseudo_label.shape[1]
        top, bottom = (round(share * height) for share in ignored_edges)
        row = torch.arange(height, device=pseudo_label.device)
        learnt = (row >= top) & (row < height - bottom)
        weight = confidence * learnt.to(confidence)
        return weight[None, :, None].expand(pseudo_label.shape)

    def update_prototypes(self, source: Tensor, label: Tensor) -> None:
        """Fold the teacher's projection of the weakly augmented source into the statistics."""
        with phase("teacher"):
            features = self.project(self.ema_model, self.ema_model.extract_feat(source))
        with phase("statistics"):
            for feature, prototypes in zip(features, self.prototypes, strict=True):
                small = downscale_label(
                    label,
                    feature.shape[-2:],
                    self.contrast.min_ratio,
                    prototypes.num_classes,
                    self.ignore_index,
                )
                prototypes.update(feature.permute(0, 2, 3, 1).flatten(0, 2), small.flatten())

    def source_loss(self, image: Tensor, label: Tensor) -> Losses:
        """Cross-entropy and contrast of the strongly augmented source with its ground truth."""
        feats = self.model.extract_feat(self.augment(image))
        losses = self.decode_losses(feats, label)
        if self.contrast_now:
            losses |= self.contrast_losses(feats, label)
        return losses

    def target_loss(self, image: Tensor, pseudo_label: Tensor, weight: Tensor) -> Losses:
        """Contrast of the strongly augmented target crop with its pseudo-label."""
        label = pseudo_label.masked_fill(weight == 0, self.ignore_index)
        return self.contrast_losses(self.model.extract_feat(self.augment(image)), label)

    def mix_domains(
        self, source: Tensor, source_label: Tensor, target: Tensor, pseudo: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Paste half of the source's classes into the weakly augmented target (class mixing).

        Returns:
            Mixed image (B, 3, H, W), label (B, H, W) and pixel weight (B, H, W).

        Raises:
            InputError: source and target differ in size.
        """
        if source.shape != target.shape:
            raise InputError(
                "source images and target crops must have one size to be mixed, but they have "
                f"{tuple(source.shape[-2:])} and {tuple(target.shape[-2:])} (h, w): make "
                "crop_size of the source's RandomCrop, of the model and size of the "
                "data_preprocessor equal, and no larger than the images"
            )
        mask = self.mix_mask(source_label)
        image, label = mix(mask, source, target), mix(mask, source_label, pseudo)
        self.show(mix_mask=mask, mixed_image=image, mixed_label=label)
        return image, label, weight.masked_fill(mask, 1)

    def mix_mask(self, source_label: Tensor) -> Tensor:
        """(B, H, W) bool: pixels taken from the source."""
        return class_mask(source_label, draw_mix_classes(source_label))

    def mix_loss(self, image: Tensor, label: Tensor, weight: Tensor) -> Losses:
        """Weighted cross-entropy of the mixed images, each strongly augmented on its own."""
        if self.augment_mixed:
            image = torch.cat([self.jitter_and_blur(each) for each in image.split(1)])
        return self.decode_losses(self.model.extract_feat(image), label, weight)

    def contrast_losses(self, feats: list[Tensor], label: Tensor) -> Losses:
        """``aux.loss_cl``: the student's projection against the prototypes."""
        features = self.project(self.model, feats)
        return {"aux.loss_cl": self.contrast(features, label, list(self.prototypes))}

    @staticmethod
    def project(segmentor: nn.Module, feats: list[Tensor]) -> list[Tensor]:
        """Projection features of each level, (B, A, h, w)."""
        features = segmentor.project(feats)
        return [features] if isinstance(features, Tensor) else list(features)

    def show(self, **visuals: Tensor) -> None:
        """Leave tensors of this iteration in ``visuals``, if somebody asked for them."""
        if self.keep_visuals:
            self.visuals |= visuals

    # ------------------------------------------------------------------ modes, weights and state

    def segmentor_for(self, eval_model: EvalModel) -> nn.Module:
        """The student ``model`` or the teacher ``ema_model``."""
        return self.ema_model if eval_model == "teacher" else super().segmentor_for(eval_model)

    def train(self, mode: bool = True) -> "SePiCo":
        """In training the teacher's BatchNorm uses batch statistics, but nothing is dropped."""
        super().train(mode)
        if mode:
            switch_off_dropout(self.ema_model)
        return self

    def init_weights(self) -> None:
        """Initialise the student and start the teacher, buffers included, as its copy."""
        self.model.init_weights()
        self.ema_model.load_state_dict(self.model.state_dict())

    def get_extra_state(self) -> dict[str, Any]:
        """What a checkpoint holds beside parameters and buffers."""
        return {"iteration": self.iteration}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore :meth:`get_extra_state`."""
        self.iteration = state["iteration"]
