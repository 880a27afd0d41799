"""Weights in half precision once a step, instead of once in every forward pass."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .folding import PLAIN_CONVOLUTIONS

# Values that are cast together: as many as DistributedDataParallel sends together (25 MiB of them).
GROUP = 25 * 2**20 // 4


@contextmanager
def cast_weights(module: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """While this lasts, linear layers and convolutions in ``module`` have weights of ``dtype``.

    Under autocast to ``dtype`` they compute the same as without, forward and backward, bit by bit
    (but the gradients of a weight that two layers share are summed in float32). Autocast casts
    weights one by one in each forward pass, and their gradients in each backward pass: hundreds of
    small kernels for a MiT-B5. Here a few cast them all, in groups, so that processes can exchange
    the gradients of the last layers while those of the first are computed.

    The parameters stay float32 and get their gradients; they must not change meanwhile.

    Args:
        module: in which no weights are cast yet.
        dtype: bfloat16 or float16.
    """
    layers = [
        (layer, dict(layer.named_parameters(recurse=False)))
        for layer in module.modules()
        if type(layer) in (nn.Linear, *PLAIN_CONVOLUTIONS)
    ]
    # What autocast casts; others, such as those of weight normalisation, go into a weight.
    places = [
        (layer, name, parameter)
        for layer, parameters in layers
        for name, parameter in parameters.items()
        if name in ("weight", "bias") and parameter.dtype == torch.float32
    ]
    parameters = [parameter for _, _, parameter in places]
    cast = [each for group in _groups(parameters) for each in _CastAll.apply(dtype, *group)]
    try:
        for (layer, name, _), tensor in zip(places, cast, strict=True):
            delattr(layer, name)  # a parameter's place takes no other tensor
            setattr(layer, name, tensor)
        yield
    finally:
        for layer, parameters in layers:
            for name, parameter in parameters.items():  # all, which keeps their order
                delattr(layer, name)
                setattr(layer, name, parameter)


def _groups(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Neighbours that are cast together."""
    groups: list[list[nn.Parameter]] = [[]]
    for parameter in parameters:
        if sum(each.numel() for each in groups[-1]) >= GROUP:
            groups.append([])
        groups[-1].append(parameter)
    return groups


class _CastAll(torch.autograd.Function):
    """Casts all tensors at once, and their gradients back.

    Nothing is saved, so that several losses can be propagated through it one after the other.
    """

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        cast = _cast_all(tensors, dtype)
        learning = ctx.needs_input_grad[1:]
        frozen = (each for each, learns in zip(cast, learning, strict=True) if not learns)
        ctx.mark_non_differentiable(*frozen)
        ctx.set_materialize_grads(False)
        return cast

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        cast = iter(_cast_all([each for each in gradients if each is not None], torch.float32))
        return None, *(None if each is None else next(cast) for each in gradients)


def _cast_all(tensors: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    cast = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if cast:
        torch._foreach_copy_(cast, tensors)
    return tuple(cast)
