"""Cast weights to half precision once per step instead of in every forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .folding import PLAIN_CONVOLUTIONS

# Number of values to cast together: as many as DistributedDataParallel sends together (25 MiB).
GROUP = 25 * 2**20 // 4


@contextmanager
def cast_weights(module: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Give linear layers and convolutions in ``module`` weights of ``dtype`` within the context.

    Under autocast to ``dtype`` the results are the same bit by bit, forward and backward (but
    gradients of a weight that two layers share are summed in float32). Autocast casts weights one
    by one in each forward pass, and their gradients in each backward pass, which takes hundreds of
    small kernels for a MiT-B5. Here a few kernels cast them in groups, so that processes can
    exchange the gradients of the last layers while those of the first are computed.

    The parameters stay float32 and get their gradients; they must not change within the context.

    Args:
        module: a module whose weights are not cast yet.
        dtype: bfloat16 or float16.
    """
    layers = [(layer, dict(layer.named_parameters(recurse=False))) for layer in _layers(module)]
    # Autocast casts these; other parameters, as of weight normalisation, only make up a weight.
    places = [
        (layer, name, parameter)
        for layer, parameters in layers
        for name, parameter in parameters.items()
        if name in ("weight", "bias") and parameter.dtype == torch.float32
    ]
    weights = [parameter for _, _, parameter in places]
    cast = [each for group in _groups(weights) for each in _CastAll.apply(dtype, *group)]
    try:
        for (layer, name, _), tensor in zip(places, cast, strict=True):
            delattr(layer, name)  # a registered parameter cannot be replaced by another tensor
            setattr(layer, name, tensor)
        yield
    finally:
        for layer, parameters in layers:
            for name, parameter in parameters.items():  # all of them, to keep their order
                delattr(layer, name)
                setattr(layer, name, parameter)


def cast_frozen_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Cast the weights that :func:`cast_weights` casts in place, as they never change."""
    for layer in _layers(module):
        layer.to(dtype)


def _layers(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if type(layer) in (nn.Linear, *PLAIN_CONVOLUTIONS)]


def _groups(parameters: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Split parameters into groups of neighbours that are cast together."""
    groups: list[list[nn.Parameter]] = []
    room = 0
    for parameter in parameters:
        if room <= 0:
            groups.append([])
            room = GROUP
        groups[-1].append(parameter)
        room -= parameter.numel()
    return groups


class _CastAll(torch.autograd.Function):
    """Cast all tensors at once, and their gradients back.

    It saves no tensors, so that several losses can be propagated through it one after the other.
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


def _cast_all(tensors: list[Tensor] | tuple[Tensor, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    cast = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if cast:
        torch._foreach_copy_(cast, tensors)
    return tuple(cast)
