"""Activation checkpointing: recompute activations in the backward pass."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn
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


def propagated_separately(compute: Callable[[], Tensor], separately: bool = True) -> Tensor:
    """Compute a tensor by layers that the rest of the graph uses too, and propagate it separately.

    autograd adds the gradients of all uses of a weight before it adds them to ``weight.grad``. Of a
    network that is used twice all gradients of the second use would wait for those of the first.
    Here they are added at once. Sums are rounded differently.

    Args:
        compute: computes the tensor.
        separately: false only computes it, as do several processes: ``DistributedDataParallel``
            expects one gradient of each weight.
    """
    if not separately or not torch.is_grad_enabled() or get_world_size() > 1:
        return compute()
    # A function without an input that needs gradients would not be propagated.
    return _PropagatedSeparately.apply(compute, torch.empty(0, requires_grad=True))


def renew_statistics(network: nn.Module) -> None:
    """Give BatchNorm new tensors for its running statistics, with the same values.

    To be called before a network with checkpoints is used for a second time in a pass. If it is
    compiled, it keeps the statistics of the first time to recompute it, and they must not change.
    """
    for layer in network.modules():
        if isinstance(layer, BATCH_NORMS):
            for name in ("running_mean", "running_var"):
                if (values := getattr(layer, name)) is not None:
                    setattr(layer, name, values.clone())


class _PropagatedSeparately(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, compute: Callable[[], Tensor], _: Tensor) -> Tensor:
        with torch.enable_grad():
            ctx.output = compute()
        return ctx.output.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None]:
        ctx.output.backward(gradient)
        ctx.output = None
        return None, None


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
