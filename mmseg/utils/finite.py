"""Find NaN and infinity in the state of training and in files."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from .errors import InputError


def first_nonfinite(values: Any, name: str = "") -> str | None:
    """Find the name of the first floating-point tensor with a NaN or an infinity.

    Args:
        values: a state dict, or nested mappings and lists of tensors.
        name: prefix of the names, with a dot between.
    """
    return next((name for name, value in _tensors(values, name) if not _is_finite(value)), None)


def check_finite(values: Any, source: str | os.PathLike, name: str = "") -> None:
    """Check that loaded weights, or a state of the optimizer, are finite.

    Args:
        values: see :func:`first_nonfinite`.
        source: name of the file for the error.
        name: see :func:`first_nonfinite`.

    Raises:
        InputError: if a value is NaN or infinite.
    """
    if found := first_nonfinite(values, name):
        raise InputError(
            f"{source} holds NaN or infinite values (first in {found}): its training has diverged, "
            "or the file is damaged; use an earlier checkpoint"
        )


def _tensors(values: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(values, Tensor):
        if values.is_floating_point():
            yield name, values
    elif isinstance(values, Mapping | list | tuple):
        items = values.items() if isinstance(values, Mapping) else enumerate(values)
        for key, value in items:
            yield from _tensors(value, f"{name}.{key}" if name else str(key))


def _is_finite(tensor: Tensor) -> bool:
    # The norm takes a tenth of the time, but the squares of large values overflow.
    return bool(torch.linalg.vector_norm(tensor).isfinite() or tensor.isfinite().all())
