"""Computing activations again in the backward pass instead of keeping them."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmseg.utils.layers import BATCH_NORMS


def run(block: nn.Module, *inputs: Any, with_cp: bool) -> Any:
    """The output of a block, of which only the inputs are kept if ``with_cp`` is set.

    BatchNorm counts a batch once, as without: its running statistics rest in the second pass.
    """
    if not with_cp or not torch.is_grad_enabled():
        return block(*inputs)
    if torch.compiler.is_compiling():  # its graph updates the statistics once by itself
        return checkpoint(block, *inputs, use_reentrant=False)
    return checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _statistics_at_rest(block)),
    )


@contextmanager
def _statistics_at_rest(block: nn.Module) -> Iterator[None]:
    """Running statistics keep their values: the new ones have no weight, and nothing is counted."""
    layers = [layer for layer in block.modules() if isinstance(layer, BATCH_NORMS)]
    momenta = [layer.momentum for layer in layers]
    counts = [count.clone() for count in _counts(layers)]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for count, before in zip(_counts(layers), counts, strict=True):
            count.copy_(before)


def _counts(layers: list[nn.Module]) -> list[torch.Tensor]:
    return [each.num_batches_tracked for each in layers if each.num_batches_tracked is not None]
