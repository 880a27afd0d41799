"""Segmentor of a backbone and a decode head."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal, get_args

import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from torch import Tensor, nn
from typing_extensions import TypedDict

from mmseg.registry import MODELS
from mmseg.structures import SegDataSample, stack_labels
from mmseg.utils import InputError
from mmseg.utils.memory import on_cpu
from mmseg.utils.phases import phase
from mmseg.utils.setting_types import ClassFactors, InitConfig, PartConfig, Size2d

from ..decode_heads import BaseDecodeHead
from ..decode_heads.daformer_head import SeparableASPP
from ..utils.precision import without_autocast
from .folding import fold_batch_norm
from .prediction import (
    ClassWeights,
    class_dtype,
    confidence,
    groups_of_one_size,
    predicted_classes,
    restored_size,
    row_strips,
    slide,
    unflip,
    uses_class_weights,
    weighted_probabilities,
)
from .weight_casting import cast_weights

ForwardMode = Literal["tensor", "predict", "loss"]
InferenceMode = Literal["whole", "slide"]


class NoSettings(TypedDict):
    """Type of ``train_cfg``, which configs from mmsegmentation have; it must be empty."""


class TestSettings(TypedDict, total=False):
    """Type of ``test_cfg``, see :class:`EncoderDecoder`."""

    mode: InferenceMode
    crop_size: Size2d
    stride: Size2d
    keep_logits: bool
    class_weight: ClassFactors | None


# Largest number of versions of a network to compile: by image size, with and without gradients.
COMPILED_VERSIONS = 64


@MODELS.register_module()
class EncoderDecoder(BaseModel):
    """Segmentor of a backbone, a decode head and optionally an auxiliary head for training.

    Args:
        backbone: config of the backbone.
        decode_head: config of the head that predicts.
        auxiliary_head: config of a second head; its losses are added in training.
        data_preprocessor: config of a :class:`SegDataPreProcessor`.
        train_cfg: must be empty; it is accepted because configs from mmsegmentation have it.
        test_cfg: ``mode`` "whole" (default) or "slide" with ``crop_size`` and ``stride``, each
            (height, width); ``keep_logits`` keeps ``seg_logits`` in predictions;
            ``class_weight``, one factor per class, multiplies the probabilities at test
            resolution, before they are upsampled, for images whose data set asks for it (Dark
            Zurich); see ``class_weights``.
        init_cfg: mmengine's initialisers.
    """

    decode_head: BaseDecodeHead

    def __init__(
        self,
        backbone: PartConfig,
        decode_head: PartConfig,
        auxiliary_head: PartConfig | None = None,
        data_preprocessor: PartConfig | nn.Module | None = None,
        train_cfg: NoSettings | None = None,
        test_cfg: TestSettings | None = None,
        init_cfg: InitConfig | None = None,
    ) -> None:
        if isinstance(data_preprocessor, dict):
            data_preprocessor = MODELS.build(data_preprocessor)
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.test_cfg: TestSettings = {**test_cfg} if test_cfg else {}
        self._check_test_cfg()
        #: Whether predictions carry ``seg_logits``.
        self.keep_logits = self.test_cfg.get("keep_logits", False)
        #: Whether predictions carry ``seg_confidence``.
        self.keep_confidence = False
        #: Images to use ``class_weight`` for: those whose data set says so ("auto"), all or none.
        self.class_weights: ClassWeights = "auto"
        #: Number of class scores at the size of an image to hold in memory at once (256 MiB: 19
        #: classes at 3.5 million pixels). Larger images are predicted in strips of rows.
        self.strip_scores = 2**26
        #: Dtype that :meth:`predict` and :meth:`weights_cast` cast the network to; None: no cast.
        self.autocast_dtype: torch.dtype | None = None
        self.memory_format = torch.contiguous_format
        self._too_many_sizes: tuple[type[Exception], ...] = ()
        self.backbone = MODELS.build(backbone)
        self.decode_head = MODELS.build(decode_head)
        self.auxiliary_head = MODELS.build(auxiliary_head) if auxiliary_head else None
        weight = self.test_cfg.get("class_weight")
        if weight is not None and len(weight) != self.num_classes:
            raise ValueError(
                f"test_cfg class_weight needs one factor for each of {self.num_classes} classes, "
                f"got {len(weight)}"
            )

    def _check_test_cfg(self) -> None:
        mode = self.test_cfg.setdefault("mode", "whole")
        known = {"mode", "keep_logits", "class_weight"}
        known |= {"crop_size", "stride"} if mode == "slide" else set()
        if unknown := sorted(set(self.test_cfg) - known):
            raise ValueError(f"test_cfg of mode {mode!r} knows {sorted(known)}, got {unknown}")
        if mode == "slide":
            crop_size, stride = self.test_cfg.get("crop_size"), self.test_cfg.get("stride")
            for name, value in (("crop_size", crop_size), ("stride", stride)):
                if value is None or len(value) != 2 or min(value) < 1:
                    raise ValueError(f"test_cfg {name} must be (height, width), got {value}")
            windows = zip(self.test_cfg["stride"], self.test_cfg["crop_size"], strict=True)
            if any(stride > crop for stride, crop in windows):
                raise ValueError(
                    f"test_cfg stride {self.test_cfg['stride']} is larger than crop_size "
                    f"{self.test_cfg['crop_size']}: pixels between the windows would have no class"
                )

    @property
    def num_classes(self) -> int:
        """Number of predicted classes C."""
        return self.decode_head.num_classes

    def extract_feat(self, inputs: Tensor, backbone: nn.Module | None = None) -> list[Tensor]:
        """Compute the backbone's maps (B, C_i, H_i, W_i) of images (B, 3, H, W).

        Args:
            inputs: the images.
            backbone: another backbone to use, of the same class.
        """
        backbone = self.backbone if backbone is None else backbone
        return backbone(inputs.contiguous(memory_format=self.memory_format))

    def logits(self, inputs: Tensor) -> Tensor:
        """Compute logits (B, C, h, w) of images (B, 3, H, W), at the size of the head's output."""
        return self.decode_head(self.extract_feat(inputs))

    def encode_decode(self, inputs: Tensor) -> Tensor:
        """Compute logits (B, C, H, W) of images (B, 3, H, W), upsampled bilinearly."""
        return self.decode_head.upsample(self.logits(inputs), inputs.shape[2:])

    def inference(self, inputs: Tensor, metas: Sequence[dict] | None = None) -> Tensor:
        """Compute logits on the whole image or in a sliding window, as ``test_cfg`` says.

        Args:
            inputs: (B, 3, H, W).
            metas: metainfo of each image, for subclasses; unused here.

        Returns:
            (B, C, H, W).
        """
        if self.test_cfg["mode"] == "slide":
            return torch.cat([logits for _, logits in self._slide(self.encode_decode, inputs)], 2)
        return self.encode_decode(inputs)

    def _slide(
        self, function: Callable[[Tensor], Tensor], inputs: Tensor
    ) -> Iterator[tuple[int, Tensor]]:
        return slide(function, inputs, self.test_cfg["crop_size"], self.test_cfg["stride"])

    def predict(
        self,
        inputs: Tensor | Sequence[Tensor],
        data_samples: Sequence[SegDataSample] | None = None,
    ) -> list[SegDataSample]:
        """Segment images, and restore the original size and orientation of the result.

        Args:
            inputs: (B, 3, H, W), or B images (3, H, W) of different sizes. On a GPU images of the
                same size are predicted together.
            data_samples: their metainfo says what to restore: ``img_shape`` is the size without
                padding, ``flip`` and ``flip_direction`` a flip, ``ori_shape`` the final size.

        Returns:
            The same samples with ``pred_sem_seg`` (1, h, w); ``seg_logits`` (C, h, w) if
            ``keep_logits`` is set, whose softmax is the predicted probability;
            ``seg_confidence`` (1, h, w), the largest probability, if ``keep_confidence`` is set.
        """
        if data_samples is None:
            data_samples = [SegDataSample() for _ in inputs]
        for places, images in groups_of_one_size(inputs):
            self._predict_batch(images, [data_samples[place] for place in places])
        return list(data_samples)

    def _predict_batch(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> None:
        metas = [sample.metainfo for sample in data_samples]
        if not self.keep_logits:
            for sample, meta in zip(data_samples, metas, strict=True):
                self._allocate(sample, restored_size(inputs, meta), inputs.device)
        if self.test_cfg["mode"] == "slide" and self._can_be_cut(inputs, metas):
            for top, logits in self._slide(partial(self._run, self.encode_decode), inputs):
                self._classify(logits, data_samples, top)
        else:
            self._classify(self._run(self.inference, inputs, metas), data_samples)

    def _can_be_cut(self, inputs: Tensor, metas: Sequence[Mapping[str, Any]]) -> bool:
        """Tell whether each row of the scores alone determines a row of the predictions."""
        size = tuple(inputs.shape[2:])
        unpadded = all(tuple(meta.get("img_shape", size)[:2]) == size for meta in metas)
        unscaled = all(restored_size(inputs, meta) == size for meta in metas)
        return (
            not self.keep_logits and unpadded and unscaled and not any(m.get("flip") for m in metas)
        )

    def _run(self, network: Callable[..., Tensor], inputs: Tensor, *arguments: Any) -> Tensor:
        dtype = self.autocast_dtype
        if dtype is None:
            precision = without_autocast(inputs)
        else:
            precision = torch.autocast(inputs.device.type, dtype)
        with phase("network"), precision:
            try:
                return network(inputs, *arguments)
            except self._too_many_sizes as error:
                raise InputError(
                    "the images have too many sizes to compile the network for each of them: "
                    "leave out --compile (and --fast)"
                ) from error

    def _classify(
        self, logits: Tensor, data_samples: Sequence[SegDataSample], top: int | None = None
    ) -> None:
        """Add predictions to the samples.

        Args:
            logits: (B, C, H, W).
            data_samples: samples of the B images.
            top: first of the H rows of the original images that the logits are of; None: they are
                of the whole images, at the size that the network saw.
        """
        with phase("classes"):
            for each, sample in zip(logits, data_samples, strict=True):
                weight = self.class_weight_for(sample.metainfo)
                scores = each if weight is None else weighted_probabilities(each, weight)
                if self.keep_logits:
                    self._keep_logits(scores, sample)
                elif top is None:
                    self._fill_in(scores, sample, 0, sample.metainfo)
                else:
                    self._fill_in(scores, sample, top, {})

    def _fill_in(self, scores: Tensor, sample: SegDataSample, top: int, meta: dict) -> None:
        """Predict the rows of an image, from ``top`` on, that the scores (C, h, w) are of."""
        scores = scores.contiguous()
        height, width = restored_size(scores, meta)
        for rows in row_strips(height, len(scores) * width, self.strip_scores):
            target = slice(top + rows.start, top + rows.stop)
            restore = partial(self.restore, meta=meta, rows=rows)
            if self.keep_confidence:
                restored = restore(scores[None])[0]
                sample.seg_confidence.data[:, target] = confidence(self._log(restored, sample))
                sample.pred_sem_seg.data[:, target] = predicted_classes(restored)
            else:
                sample.pred_sem_seg.data[:, target] = predicted_classes(scores, restore)

    def _allocate(self, sample: SegDataSample, size: tuple[int, int], device: torch.device) -> None:
        classes = torch.empty((1, *size), dtype=class_dtype(self.num_classes), device=device)
        sample.pred_sem_seg = PixelData(data=classes)
        if self.keep_confidence:
            sample.seg_confidence = PixelData(data=torch.empty((1, *size), device=device))

    def _keep_logits(self, scores: Tensor, sample: SegDataSample) -> None:
        restored = self.restore(scores[None], sample.metainfo)[0]
        sample.pred_sem_seg = PixelData(data=predicted_classes(restored))
        sample.seg_logits = PixelData(data=self._log(restored, sample))
        if self.keep_confidence:
            sample.seg_confidence = PixelData(data=confidence(sample.seg_logits.data))

    def _log(self, scores: Tensor, sample: SegDataSample) -> Tensor:
        """Convert an image's scores, which may be weighted probabilities, to logits."""
        if self.class_weight_for(sample.metainfo) is None:
            return scores
        return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()

    def class_weight_for(self, meta: dict) -> Sequence[float] | None:
        """Return the factor of each class for an image's probabilities, if it has any.

        Args:
            meta: the image's metainfo.
        """
        weight = self.test_cfg.get("class_weight")
        return weight if uses_class_weights(self.class_weights, meta) else None

    def restore(self, logits: Tensor, meta: dict, rows: slice | None = None) -> Tensor:
        """Undo padding, flip and resize of one image.

        Args:
            logits: (1, C, H, W) at the size of the batch.
            meta: the image's metainfo.
            rows: the R of the h rows to return; None: all.

        Returns:
            (1, C, h, w) at its ``ori_shape``, or (1, C, R, w).
        """
        size = restored_size(logits, meta)
        height, width = meta.get("img_shape", logits.shape[2:])[:2]
        logits = logits[:, :, :height, :width]
        if meta.get("flip"):
            logits = unflip(logits, meta.get("flip_direction"))
        part = None if rows == slice(0, size[0]) else rows
        return self.decode_head.upsample(logits, size, part)

    def losses_of(
        self, inputs: Tensor, label: Tensor, weight: Tensor | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Compute the losses of images with labels, and the features they are computed from.

        Args:
            inputs: (B, 3, H, W).
            label: (B, H, W) or (B, 1, H, W), any integer dtype.
            weight: (B, H, W), factor of each pixel's loss.

        Returns:
            The backbone's maps, and scalars: ``decode.loss_seg``, ``decode.acc_seg``, and the same
            for ``aux``.
        """
        feats = self.extract_feat(inputs)
        losses: dict[str, Tensor] = {}
        for prefix, head in self.supervised_heads().items():
            parts = head.loss_by_feat(head(feats), label, weight)
            losses |= {f"{prefix}.{name}": value for name, value in parts.items()}
        return feats, losses

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Compute the losses of :meth:`losses_of` for samples with labels."""
        return self.losses_of(inputs, stack_labels(data_samples))[1]

    def supervised_heads(self) -> dict[str, BaseDecodeHead]:
        """Return the heads that learn from labels, by their prefix in the log."""
        heads = {"decode": self.decode_head}
        return heads if self.auxiliary_head is None else heads | {"aux": self.auxiliary_head}

    # ------------------------------------------------------------------ speed and memory

    def use_channels_last(self) -> None:
        """Use the channels-last memory format for the weights and inputs of convolutions.

        On a CPU DAFormer's ASPP keeps contiguous weights, as it trains with contiguous maps.
        """
        self.memory_format = torch.channels_last
        parts = [part for part in self.modules() if isinstance(part, SeparableASPP)]
        kept = {id(each) for part in parts for each in part.parameters() if on_cpu(each)}
        for parameter in self.parameters():
            if parameter.dim() == 4 and id(parameter) not in kept:
                parameter.data = parameter.data.contiguous(memory_format=self.memory_format)

    def fold_batch_norm(self) -> None:
        """Fold BatchNorm into the convolution before it, in a network that only predicts.

        Afterwards the weights and their names differ from checkpoints: do not train or save them.
        """
        heads = (self.decode_head, self.auxiliary_head)
        fold_batch_norm(self.backbone, [head for head in heads if head is not None])

    @property
    def activation_checkpointing(self) -> bool:
        """Whether the backbone recomputes activations, by its config or by the method below."""
        return getattr(self.backbone, "with_cp", False)

    def weights_cast(self) -> AbstractContextManager[None]:
        """Cast the weights once for a training step, or a part of it, under autocast.

        With activation checkpointing autocast casts them layer by layer instead, which takes more
        time, but needs no memory for all of them and for their gradients in half precision.
        """
        dtype = self.autocast_dtype
        if dtype is None or self.activation_checkpointing:
            return nullcontext()
        return cast_weights(self, dtype)

    def use_activation_checkpointing(self) -> None:
        """Recompute activations in the backward pass, in all parts that have ``with_cp``.

        Raises:
            InputError: if the backbone, which has most activations, has no such option.
        """
        if not hasattr(self.backbone, "with_cp"):
            raise InputError(
                f"{type(self.backbone).__name__} has no activation checkpointing: leave it off"
            )
        for part in self.modules():
            if hasattr(part, "with_cp"):
                part.with_cp = True

    def network_parts(self) -> list[nn.Module]:
        """Return backbone and heads, whose forward passes are one graph each."""
        parts = (self.backbone, self.decode_head, self.auxiliary_head)
        return [part for part in parts if part is not None]

    def compile_parts(self) -> None:
        """Compile backbone and heads, each as one graph, once per image size.

        Student and teacher share the compiled versions of a class.
        """
        from torch._dynamo import config, exc  # takes a second to import

        self._too_many_sizes = (exc.FailOnRecompileLimitHit,)
        config.recompile_limit = max(config.recompile_limit, COMPILED_VERSIONS)
        for part in self.network_parts():
            part.compile(fullgraph=True, dynamic=False)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[SegDataSample] | None = None,
        mode: ForwardMode = "tensor",
    ) -> Tensor | list[SegDataSample] | dict[str, Tensor]:
        """Run the segmentor in one of the modes of mmengine's loops.

        Args:
            inputs: (B, 3, H, W), preprocessed.
            data_samples: B samples; "loss" needs their labels.
            mode: "tensor": the head's logits (B, C, h, w); "predict": :meth:`predict`;
                "loss": :meth:`loss`.

        Raises:
            ValueError: if ``mode`` is unknown, or "loss" without samples.
        """
        if mode == "tensor":
            return self.logits(inputs)
        if mode == "predict":
            return self.predict(inputs, data_samples)
        if mode == "loss":
            if data_samples is None:
                raise ValueError("mode 'loss' needs data_samples with labels")
            return self.loss(inputs, data_samples)
        raise ValueError(f"mode must be one of {list(get_args(ForwardMode))}, got {mode!r}")

    @classmethod
    def scale_crops(cls, config: dict[str, Any], factor: float) -> None:
        """Change a config of this segmentor in place to crops that are ``factor`` times as large.

        The windows of ``test_cfg`` keep their size relative to the crops.
        """
        test_cfg = config.get("test_cfg") or {}
        for name in ("crop_size", "stride"):
            if name in test_cfg:
                test_cfg[name] = scaled(test_cfg[name], factor)


def scaled(size: Sequence[int], factor: float) -> tuple[int, ...]:
    """Multiply the sides of a size by a factor."""
    return tuple(max(1, round(side * factor)) for side in size)


def segmentors_of(module: nn.Module) -> list[EncoderDecoder]:
    """List the segmentors in a module: itself, or the student and teacher of a method."""
    return [part for part in module.modules() if isinstance(part, EncoderDecoder)]
