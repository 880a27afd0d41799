"""Sums and means over the ranks of a distributed run; for one process they are the identity."""

from collections.abc import Mapping

import torch
from mmengine.dist import all_reduce, all_reduce_params, get_world_size
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from .layers import BATCH_NORMS


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        values = values.clone()
        all_reduce(values)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return gradient * get_world_size()


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum ``values`` over all ranks, differentiably, and return the sum on every rank.

    It is for losses that every rank computes from such sums in the same way: the derivative is that
    of the sum of all ranks' losses, so that the mean of the ranks' gradients is the gradient of the
    loss. The backward pass needs no communication.
    """
    return values if get_world_size() == 1 else _SumOverRanks.apply(values)


def mean_over_ranks(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Average scalars over all ranks in one communication, not differentiably."""
    if get_world_size() == 1 or not values:
        return dict(values)
    stacked = torch.stack([value.detach().float() for value in values.values()])
    all_reduce(stacked, op="mean")
    return dict(zip(values, stacked.unbind(), strict=True))


def average_batch_norm(module: nn.Module) -> None:
    """Average BatchNorm's running statistics over all ranks in one communication."""
    if get_world_size() > 1:
        statistics = [
            value
            for layer in module.modules()
            if isinstance(layer, BATCH_NORMS) and layer.running_mean is not None
            for value in (layer.running_mean, layer.running_var)
        ]
        all_reduce_params(statistics, op="mean")
