"""Sums over the ranks of a distributed run; with a single process each of them is the identity."""

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
    """The sum of ``values`` of all ranks, on every rank, differentiable.

    For losses that every rank computes alike from such sums: the derivative with respect to the own
    part is that of all ranks' losses, so that the mean of the ranks' gradients is the gradient of
    the one loss. This needs no communication in the backward pass.
    """
    return values if get_world_size() == 1 else _SumOverRanks.apply(values)


def mean_over_ranks(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The mean over all ranks of each of some scalars, in one communication; not differentiable."""
    if get_world_size() == 1 or not values:
        return dict(values)
    stacked = torch.stack([value.detach().float() for value in values.values()])
    all_reduce(stacked, op="mean")
    return dict(zip(values, stacked.unbind(), strict=True))


def average_batch_norm(module: nn.Module) -> None:
    """Replace BatchNorm's running statistics by their mean over all ranks, in one communication."""
    if get_world_size() > 1:
        statistics = [
            value
            for layer in module.modules()
            if isinstance(layer, BATCH_NORMS) and layer.running_mean is not None
            for value in (layer.running_mean, layer.running_var)
        ]
        all_reduce_params(statistics, op="mean")
