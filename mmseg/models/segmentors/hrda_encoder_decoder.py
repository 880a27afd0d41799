"""Segmentor at two scales (Hoyer et al., HRDA, ECCV 2022)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from mmseg.registry import MODELS
from mmseg.utils.memory import give_back_freed_memory, on_cpu
from mmseg.utils.setting_types import Size2d

from ..decode_heads.hrda_head import Box, HRDAHead, crop, scale_box, stride_of
from ..utils.checkpointing import propagated_separately, renew_statistics
from .encoder_decoder import EncoderDecoder, scaled
from .encoder_decoder_projector import EncoderDecoderProjector
from .prediction import window_starts

#: Largest number of windows to predict together on a GPU: those of two crops of 1024 pixels.
WINDOWS = 18


def detail_windows(height: int, width: int, size: Size2d) -> list[Box]:
    """List windows (top, bottom, left, right) that cover an image and overlap by half."""
    starts = [
        window_starts(side, window, window // 2)
        for side, window in zip((height, width), size, strict=True)
    ]
    return [
        (top, min(top + size[0], height), left, min(left + size[1], width))
        for top, left in product(*starts)
    ]


def average_windows(windows: Sequence[Box], logits: Sequence[Tensor]) -> Tensor:
    """Place the logits of windows (B, C, h_i, w_i) on the image, and average where they overlap."""
    rows, columns = logits[0].shape[2:]
    stride = stride_of(windows[0], logits[0])
    corners = [scale_box(window, stride)[::2] for window in windows]
    bottom, right = corners[-1][0] + rows, corners[-1][1] + columns
    total = logits[0].new_zeros(*logits[0].shape[:2], bottom, right)
    count = logits[0].new_zeros(bottom, right)
    for (top, left), each in zip(corners, logits, strict=True):
        place = (top, top + rows, left, left + columns)
        crop(total, place).add_(each)
        crop(count, place).add_(1)
    return total / count


@MODELS.register_module()
class HRDAEncoderDecoder(EncoderDecoder):
    """Segment a downscaled image for context, and crops at full resolution for details.

    In training one box per batch, at random, has details; its corners are multiples of
    ``detail_divisor``. In inference, and for pseudo-labels, overlapping windows cover the image.
    The features of :meth:`extract_feat` are those of the context.

    Args:
        context_scale: scale of the context.
        detail_size: (height, width) of the box and of windows.
        detail_divisor: the corners of the box are multiples of it, in pixels.
        segmentor: arguments of :class:`EncoderDecoder`; the decode head is a :class:`HRDAHead`.
    """

    decode_head: HRDAHead

    def __init__(
        self,
        context_scale: Annotated[float, Field(gt=0, le=1)] = 0.5,
        detail_size: Size2d = (512, 512),
        detail_divisor: PositiveInt = 8,
        **segmentor: Any,
    ) -> None:
        super().__init__(**segmentor)
        self.context_scale = context_scale
        self.detail_size = (detail_size[0], detail_size[1])
        self.detail_divisor = detail_divisor
        self._known_windows: dict[int, Tensor] | None = None

    def extract_feat(self, inputs: Tensor, backbone: nn.Module | None = None) -> list[Tensor]:
        """Compute the backbone's maps of the downscaled images (B, 3, H, W)."""
        context = F.interpolate(inputs, scale_factor=self.context_scale, mode="bilinear")
        return super().extract_feat(context, backbone)

    def extract_detail(self, inputs: Tensor, boxes: Sequence[Box]) -> list[Tensor]:
        """Compute the backbone's maps of boxes of images, as one batch.

        Args:
            inputs: (B, 3, H, W).
            boxes: N boxes of one size.

        Returns:
            Maps (N * B, C_i, h_i, w_i), box by box.
        """
        crops = [crop(inputs, box) for box in boxes]
        return super().extract_feat(crops[0] if len(crops) == 1 else torch.cat(crops))

    def logits(self, inputs: Tensor) -> Tensor:
        """Compute the fused logits (B, C, h, w), at the stride of the head at full resolution."""
        context = self.extract_feat(inputs)
        context_logits = self.decode_head.head(context)
        detail = self.detail_logits(inputs)
        return self.decode_head.fuse(context_logits, self.decode_head.attention(context), detail)

    def detail_logits(self, inputs: Tensor) -> Tensor:
        """Average the logits of overlapping windows: (B, 3, H, W) -> (B, C, h, w).

        A teacher in training mode takes its batch statistics over all windows. In evaluation mode
        they are computed in groups, on a CPU one by one, to save memory.
        """
        height, width = inputs.shape[2:]
        windows = detail_windows(height, width, self.detail_size)
        places = [int(crop(inputs, box).storage_offset()) for box in windows]
        known = {} if self._known_windows is None else self._known_windows
        missing = [
            (place, box) for place, box in zip(places, windows, strict=True) if place not in known
        ]
        if self.training:
            at_once = len(windows)
        else:
            at_once = 1 if on_cpu(inputs) else max(1, WINDOWS // len(inputs))
        for start in range(0, len(missing), at_once):
            group = missing[start : start + at_once]
            logits = self.decode_head.head(self.extract_detail(inputs, [box for _, box in group]))
            for (place, _), each in zip(group, logits.split(len(inputs)), strict=True):
                known[place] = each
        return average_windows(windows, [known[place] for place in places])

    def _slide(
        self, function: Callable[[Tensor], Tensor], inputs: Tensor
    ) -> Iterator[tuple[int, Tensor]]:
        # Neighbouring crops are views of the same image: their common windows start at the same
        # place of its memory, and are computed once. Those above the next crops are dropped.
        self._known_windows = {}
        try:
            for top, logits in super()._slide(function, inputs):
                yield top, logits
                next_row = top + logits.shape[2]
                start = inputs.storage_offset() + next_row * inputs.stride(2)
                known = self._known_windows.items()
                self._known_windows = {place: each for place, each in known if place >= start}
        finally:
            self._known_windows = None

    def losses_of(
        self, inputs: Tensor, label: Tensor, weight: Tensor | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Compute the losses of the fused prediction and of the detail in a random box.

        Args:
            inputs: (B, 3, H, W).
            label: (B, H, W) or (B, 1, H, W), any integer dtype.
            weight: (B, H, W), factor of each pixel's loss.

        Returns:
            The context's features, and ``decode.loss_seg``, ``decode.acc_seg``,
            ``decode.hr.loss_seg`` and ``decode.hr.acc_seg``; the losses include their weights.
        """
        height, width = inputs.shape[2:]
        head = self.decode_head
        box = self.draw_detail_box(height, width)
        context = self.extract_feat(inputs)
        context_logits = head.head(context)
        if self.activation_checkpointing:
            renew_statistics(self)
        if on_cpu(inputs):
            give_back_freed_memory()
        detail_logits = propagated_separately(
            lambda: head.head(self.extract_detail(inputs, [box])), self.activation_checkpointing
        )
        if on_cpu(inputs):
            give_back_freed_memory()
        attention, placed = head.place(
            head.attention(context), detail_logits, box, (height, width), self.context_scale
        )
        fused = head.fuse(context_logits, attention, placed)
        losses = head.losses(fused, detail_logits, box, label, weight)
        return context, {f"decode.{name}": value for name, value in losses.items()}

    def draw_detail_box(self, height: int, width: int) -> Box:
        """Draw a box in an image by torch's CPU generator: (top, bottom, left, right)."""
        top, left = (
            int(torch.randint(max((side - size + 1) // self.detail_divisor, 1), ()))
            * self.detail_divisor
            for side, size in zip((height, width), self.detail_size, strict=True)
        )
        bottom, right = top + self.detail_size[0], left + self.detail_size[1]
        return top, min(bottom, height), left, min(right, width)

    def network_parts(self) -> list[nn.Module]:
        """Return the parts of the network that are one graph each."""
        pair = list(self.decode_head.children())
        others = [part for part in super().network_parts() if part is not self.decode_head]
        return [*others, *pair]

    @classmethod
    def scale_crops(cls, config: dict[str, Any], factor: float) -> None:
        """Scale the detail too, see :meth:`EncoderDecoder.scale_crops`."""
        super().scale_crops(config, factor)
        if "detail_size" in config:
            config["detail_size"] = scaled(config["detail_size"], factor)


@MODELS.register_module()
class HRDAEncoderDecoderProjector(HRDAEncoderDecoder, EncoderDecoderProjector):
    """A :class:`HRDAEncoderDecoder` that also projects the features of the context (SePiCo)."""
