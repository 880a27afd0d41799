"""The floating-point operations of one training step, counted without computing anything."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from math import prod
from typing import Any

import torch
from mmengine.config import Config
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .settings import Settings
from .step import TrainingStep

aten = torch.ops.aten


def count_step_flops(cfg: Config, batch: Mapping[str, Any]) -> int:
    """FLOPs of a training step with contrast, a multiply-add being two.

    Counted are the convolutions, matrix products and attention that the method needs, forward and
    backward: not the blur of strong augmentation, which not every step has, and not what activation
    checkpointing computes again. The step runs on torch's meta device.

    Args:
        cfg: of the method. batch: as it is trained on.
    """
    with torch.device("meta"):
        # A fused optimizer does not know the meta device.
        step = TrainingStep(cfg, Settings(optimizer="unfused"), torch.device("meta"))
    step.model.augmentation.jitter_threshold = 1.0
    step.model.augmentation.blur = False
    with _without_autocast(), sdpa_kernel(SDPBackend.MATH), step_counter() as counter:
        step(batch)
    return counter.get_total_flops()


def step_counter() -> FlopCounterMode:
    """Torch's counter, with its backward pass of grouped convolutions put right."""
    return FlopCounterMode(
        display=False, custom_mapping={aten.convolution_backward: convolution_backward_flops}
    )


def convolution_backward_flops(
    grad_shape: list[int],
    input_shape: list[int],
    weight_shape: list[int],
    _bias: Any,
    _stride: Any,
    _padding: Any,
    _dilation: Any,
    transposed: bool,
    _output_padding: Any,
    _groups: int,
    output_mask: list[bool],
    **_: Any,
) -> int:
    """Each gradient, of the input and of the weight, costs what the forward pass does.

    Torch's own formula counts that of the weight as if every output channel met every input
    channel: too much by the number of groups.
    """
    positions = prod((input_shape if transposed else grad_shape)[2:])
    forward = 2 * grad_shape[0] * positions * prod(weight_shape)
    return forward * sum(output_mask[:2])


@contextmanager
def _without_autocast() -> Iterator[None]:
    """The meta device knows no autocast, not even how to leave it off."""
    autocast = torch.autocast
    torch.autocast = lambda *args, **kwargs: nullcontext()
    try:
        yield
    finally:
        torch.autocast = autocast
