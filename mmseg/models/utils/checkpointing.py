"""Activation checkpointing: recompute activations in the backward pass."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmseg.utils.layers import BATCH_NORMS, BatchNorm


def run(block: nn.Module, *inputs: Any, with_cp: bool) -> Any:
    """Run a block, and keep only its inputs for the backward pass if ``with_cp`` is set.

    BatchNorm counts a batch once: the second pass does not change its running statistics.
    """
    if not with_cp or not torch.is_grad_enabled():
        return block(*inputs)
    if torch.compiler.is_compiling():  # a compiled graph updates the statistics once
        return checkpoint(block, *inputs, use_reentrant=False)
    return checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _frozen_statistics(block)),
    )


@contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Keep BatchNorm's running statistics and its counts of batches unchanged in the context."""
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


def _counts(layers: Sequence[BatchNorm]) -> list[torch.Tensor]:
    return [each.num_batches_tracked for each in layers if each.num_batches_tracked is not None]
