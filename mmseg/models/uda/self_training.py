"""Self-training with class mixing (DACS, Tranheden et al., WACV 2021), the base of other methods.

Shapes: B images, C classes, H x W pixels.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmseg.models.utils.dacs_transforms import class_mask, draw_mix_classes, mix
from mmseg.registry import MODELS
from mmseg.utils import InputError
from mmseg.utils.distributed import mean_over_ranks, sum_over_ranks
from mmseg.utils.memory import give_back_freed_memory, on_cpu
from mmseg.utils.phases import phase
from mmseg.utils.setting_types import Fraction, PartConfig

from .teacher import switch_off_dropout, teacher_momentum, update_teacher
from .uda_decorator import EvalModel, Losses, UDADecorator


@dataclass
class PseudoLabel:
    """Pseudo-label of the target by the teacher.

    Attributes:
        label: (B, H, W) long.
        confident: bool, the pixels in which the teacher is confident.
    """

    label: Tensor
    confident: Tensor

    def confidence(self) -> Tensor:
        """Compute q, scalar in [0, 1]: the share of confident pixels over all ranks."""
        confident = self.confident.sum()
        total = torch.full_like(confident, self.confident.numel())
        confident, total = sum_over_ranks(torch.stack([confident, total]))
        return confident / total


@dataclass
class Batch:
    """Data of one iteration for the student, before strong augmentation.

    Attributes:
        source: normalised images (B, 3, H, W).
        source_label: (B, H, W) long.
        target: normalised images (B, 3, H, W).
        pseudo_label: (B, H, W) long.
        weight: weight of each pixel of the pseudo-label, (B, H, W).
    """

    source: Tensor
    source_label: Tensor
    target: Tensor
    pseudo_label: Tensor
    weight: Tensor


class LossTerm(nn.Module):
    """Base class of losses that any self-training method can use, by ``terms=dict(name=...)``.

    A term adds losses to the pass of the source, adds further passes, or both.
    """

    #: Whether the term uses the backbone's pretrained weights also if a checkpoint is loaded.
    NEEDS_PRETRAINED: ClassVar[bool] = False

    def attach(self, method: "SelfTraining") -> None:
        """Build what depends on the student of the method, before it has its first weights."""

    def init_weights(self, method: "SelfTraining") -> None:
        """Initialise weights of the term, after those of the student."""

    def set_up(self, method: "SelfTraining", compiled: bool) -> None:
        """Adopt the student's memory format and precision, and compile networks if asked to."""

    def on_source(
        self, method: "SelfTraining", image: Tensor, feats: list[Tensor], label: Tensor
    ) -> Losses:
        """Compute losses of the pass of the source, see :meth:`UDADecorator.on_source`."""
        return {}

    def losses(self, method: "SelfTraining", batch: Batch) -> dict[str, Callable[[], Losses]]:
        """Return further passes by their name in the log, see :meth:`UDADecorator.train_on`."""
        return {}

    @classmethod
    def scale_crops(cls, config: dict[str, Any], factor: float) -> None:
        """Change a config of this term in place to crops that are ``factor`` times as large."""


@MODELS.register_module(name=["SelfTraining", "DACS"])
class SelfTraining(UDADecorator):
    """Learn from the pseudo-labels of a moving-average teacher, on images mixed by classes.

    A method is a subclass that overrides some of :meth:`choose_target`, :meth:`pseudo_label`,
    :meth:`teach`, :meth:`on_source` and :meth:`losses`; :meth:`train_step` calls them in this
    order.

    Args:
        segmentor: config of the student ``model``; the teacher ``ema_model`` has the same shape.
        data_preprocessor: config of the ``SegDataPreProcessor`` of both domains.
        alpha: largest momentum of the teacher.
        pseudo_threshold: smallest probability of a confident pseudo-label.
        enable_self_training: whether the decoder learns from mixed images.
        augment_mixed: whether the mixed images are jittered and blurred.
        mirror_teacher: whether the teacher's probabilities are the mean of those of the image and
            of its mirror image (VFM-UDA), for two forward passes in place of one.
        terms: configs of :class:`LossTerm` by a name of your choice.
        augmentation: other arguments of :class:`UDADecorator`.

    Attributes:
        iteration: t, counted from 0 over restarts.
    """

    TARGET_VIEWS: ClassVar[tuple[str, ...]] = ("target",)
    PANEL: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("source_image", "source_label", "target_image", "teacher_prediction"),
        ("target_crop", "pseudo_label", "ground_truth", "pixel_weight"),
        ("mix_mask", "mixed_image", "mixed_label", "masked_image"),
    )

    def __init__(
        self,
        segmentor: PartConfig,
        data_preprocessor: PartConfig,
        alpha: Fraction = 0.999,
        pseudo_threshold: Fraction = 0.968,
        enable_self_training: bool = True,
        augment_mixed: bool = True,
        mirror_teacher: bool = False,
        terms: Mapping[str, PartConfig] | None = None,
        **augmentation: Any,
    ) -> None:
        super().__init__(segmentor, data_preprocessor, **augmentation)
        self.ema_model = copy.deepcopy(self.model).requires_grad_(False)
        modules = {name: MODELS.build(term) for name, term in (terms or {}).items()}
        self.terms = cast(Mapping[str, LossTerm], nn.ModuleDict(modules))
        for term in self.terms.values():
            term.attach(self)
        self.alpha = alpha
        self.pseudo_threshold = pseudo_threshold
        self.enable_self_training = enable_self_training
        self.augment_mixed = augment_mixed
        self.mirror_teacher = mirror_teacher
        self.iteration = 0
        self.train()

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Run one iteration: teacher, pseudo-labels, statistics, losses, one optimizer step.

        Args:
            data: collated ``dict(source=..., target=...)``; the target has no label.
            optim_wrapper: optimizer of the student's parameters.

        Returns:
            Detached scalars to log: the losses by name, the confidence q and the share of target
            pixels without a pseudo-label.
        """
        source, source_label = self.images_and_label(data["source"])
        views = self.target_views(data)
        with phase("teacher"):
            if on_cpu(source):
                give_back_freed_memory()
            update_teacher(self.ema_model, self.model, teacher_momentum(self.iteration, self.alpha))
        self.draw_augmentation()

        teaching = self.ema_model.weights_cast()
        with torch.no_grad(), optim_wrapper.optim_context(self), teaching:
            target, pseudo = self.choose_target(views)
            confidence = pseudo.confidence()
            samples = data["target"]["data_samples"]
            edges = samples[0].get("ignored_edges", (0.0, 0.0))
            weight = self.pixel_weight(pseudo.label, confidence, edges)
            if "ignored_margins" in samples[0]:
                weight = weight * self.trusted_pixels(samples, weight)
            batch = Batch(source, source_label, target, pseudo.label, weight)
            self.teach(batch)
        log = self.train_on(self.losses(batch), optim_wrapper)

        self.show(source_image=source, source_label=source_label, target_image=views[0])
        self.show(target_crop=target, pseudo_label=pseudo.label, pixel_weight=weight)
        self.iteration += 1
        log |= {"confidence": confidence, "ignored_pseudo_labels": (weight == 0).float().mean()}
        return mean_over_ranks(log)

    def target_views(self, data: dict) -> list[Tensor]:
        """Return the views (B, 3, H, W) of the target that pseudo-labels are made from.

        They are the entries ``target`` and ``target_*`` of the batch, in this order. The student
        learns from the first one.
        """
        names = ["target", *(name for name in data if name.startswith("target_"))]
        return [self.data_preprocessor(data[name], training=True)["inputs"] for name in names]

    def choose_target(self, views: list[Tensor]) -> tuple[Tensor, PseudoLabel]:
        """Choose the part of the target to learn from, here all of it, and pseudo-label it.

        Returns:
            Images (B, 3, h, w) and their pseudo-label.
        """
        with phase("teacher"):
            pseudo = self.pseudo_label(views)
        self.show(teacher_prediction=pseudo.label)
        return views[0], pseudo

    def pseudo_label(self, views: list[Tensor]) -> PseudoLabel:
        """Take the teacher's arg-max, confident at or above the threshold."""
        return self.confident_label(self.teacher_probability(views[0]))

    def teacher_probability(self, image: Tensor) -> Tensor:
        """Return the teacher's class probabilities (B, C, H, W) of images (B, 3, H, W)."""
        probability = self.ema_model.encode_decode(image).softmax(1)
        if not self.mirror_teacher:
            return probability
        mirrored = self.ema_model.encode_decode(image.flip(-1)).softmax(1)
        return (probability + mirrored.flip(-1)) / 2

    def confident_label(self, probability: Tensor) -> PseudoLabel:
        """Take the arg-max of class scores (B, C, H, W), confident at or above the threshold."""
        top, label = probability.max(1)
        return PseudoLabel(label, top >= self.pseudo_threshold)

    @staticmethod
    def pixel_weight(
        pseudo_label: Tensor, confidence: Tensor, ignored_edges: tuple[float, float]
    ) -> Tensor:
        """Weight each pixel of the pseudo-label by q, and by 0 at the ignored edges.

        Args:
            pseudo_label: (B, H, W).
            confidence: q, scalar.
            ignored_edges: shares of H at the top and at the bottom.

        Returns:
            (B, H, W).
        """
        height = pseudo_label.shape[1]
        top, bottom = (round(share * height) for share in ignored_edges)
        row = torch.arange(height, device=pseudo_label.device)
        learnt = (row >= top) & (row < height - bottom)
        weight = confidence * learnt.to(confidence)
        return weight[None, :, None].expand(pseudo_label.shape)

    def trusted_pixels(self, samples: Sequence[BaseDataElement], like: Tensor) -> Tensor:
        """Mark the pixels of the target that are not in the margins of its images by 1, others 0.

        Raises:
            InputError: if the method has cropped the images, which the margins are those of.
        """
        if self.crops_target:
            raise InputError(
                "IgnoreMargins marks margins of whole target images, but the method crops them: "
                "crop them by a RandomCrop in the target's pipeline and set pseudo_crop=False, or "
                "leave IgnoreMargins out"
            )
        return within_margins([sample.ignored_margins for sample in samples], like)

    def teach(self, batch: Batch) -> None:
        """Use the teacher for other purposes of the method, without gradients; nothing here."""

    def losses(self, batch: Batch) -> dict[str, Callable[[], Losses]]:
        """Return the passes of the student in order, see :meth:`UDADecorator.train_on`."""
        losses = {"src": lambda: self.source_loss(batch.source, batch.source_label)}
        if self.enable_self_training:
            mixed = self.mix_domains(batch)
            losses["mix"] = lambda: self.mix_loss(*mixed)
        for term in self.terms.values():
            losses |= term.losses(self, batch)
        return losses

    def on_source(self, image: Tensor, feats: list[Tensor], label: Tensor) -> Losses:
        """Compute the losses of the terms, see :meth:`UDADecorator.on_source`."""
        losses: Losses = {}
        for term in self.terms.values():
            losses |= term.on_source(self, image, feats, label)
        return losses

    def mix_domains(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Paste half of the source's classes into the target (class mixing).

        Returns:
            Mixed image (B, 3, H, W), label (B, H, W) and pixel weight (B, H, W).

        Raises:
            InputError: if source and target differ in size.
        """
        if batch.source.shape != batch.target.shape:
            raise InputError(
                "source images and target crops must have one size to be mixed, but they have "
                f"{tuple(batch.source.shape[-2:])} and {tuple(batch.target.shape[-2:])} (h, w): "
                "make crop_size of the source's RandomCrop, of the model and size of the "
                "data_preprocessor equal, and no larger than the images"
            )
        mask = self.mix_mask(batch.source_label)
        image = mix(mask, batch.source, batch.target)
        label = mix(mask, batch.source_label, batch.pseudo_label)
        self.show(mix_mask=mask, mixed_image=image, mixed_label=label)
        return image, label, batch.weight.masked_fill(mask, 1)

    def mix_mask(self, source_label: Tensor) -> Tensor:
        """Choose the pixels to take from the source, (B, H, W) bool."""
        return class_mask(source_label, draw_mix_classes(source_label))

    def mix_loss(self, image: Tensor, label: Tensor, weight: Tensor) -> Losses:
        """Compute weighted losses of the mixed images, each strongly augmented separately."""
        if self.augment_mixed:
            image = torch.cat([self.jitter_and_blur(each) for each in image.split(1)])
        return self.model.losses_of(image, label, weight)[1]

    # ------------------------------------------------------------------ modes, weights and state

    def segmentor_for(self, eval_model: EvalModel) -> nn.Module:
        """Return the student ``model`` or the teacher ``ema_model``."""
        return self.ema_model if eval_model == "teacher" else super().segmentor_for(eval_model)

    def train(self, mode: bool = True) -> "SelfTraining":
        """Set the mode; in training the teacher has BatchNorm on batch statistics, no dropout."""
        super().train(mode)
        if mode:
            switch_off_dropout(self.ema_model)
        return self

    def init_weights(self) -> None:
        """Initialise the student, copy its weights and buffers to the teacher, then the terms."""
        self.model.init_weights()
        self.ema_model.load_state_dict(self.model.state_dict())
        for term in self.terms.values():
            term.init_weights(self)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state that a checkpoint holds next to parameters and buffers."""
        return {"iteration": self.iteration}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore :meth:`get_extra_state`."""
        self.iteration = state["iteration"]

    def start_all_losses(self, delay: int = 0) -> None:
        """Treat all pseudo-labels as confident, see :meth:`UDADecorator.start_all_losses`."""
        self.pseudo_threshold = 0.0


def within_margins(margins: Sequence[Sequence[int]], like: Tensor) -> Tensor:
    """Mark the pixels of images that are not in their margins by 1, others by 0.

    Args:
        margins: for each of B images the rows at the top and at the bottom, and the columns at the
            left and at the right, to mark by 0.
        like: (B, H, W), whose shape, dtype and device the result has.
    """
    height, width = like.shape[1:]
    top, bottom, left, right = (
        torch.tensor(margins).to(like.device, non_blocking=True).T[..., None, None]
    )
    row = torch.arange(height, device=like.device)[:, None]
    column = torch.arange(width, device=like.device)
    rows = (row >= top) & (row < height - bottom)
    return (rows & (column >= left) & (column < width - right)).to(like)
