"""Load numbers recorded from the authors' release, and set the weights used to record them."""

import functools
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

DATA = Path(__file__).parent / "data"


def load_golden(name: str) -> Any:
    """Read ``tests/data/<name>``: an ``.npz`` (all arrays, by name) or a ``.json`` file."""
    path = DATA / name
    if path.suffix == ".json":
        return json.loads(path.read_text())
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


@functools.lru_cache(maxsize=700)  # a ResNet, with the heads of several tests
def tensor_by_name(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Compute the value of a state-dict entry from its name and shape only; to be copied."""
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    last = name.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return torch.tensor(0)
    if last == "running_var":
        value = 1 + 0.1 * np.abs(noise)
    elif last in ("running_mean", "bias"):
        value = 0.1 * noise
    elif len(shape) >= 2:
        value = noise / np.sqrt(np.prod(shape[1:]))
    else:
        value = 1 + 0.1 * noise
    return torch.as_tensor(value, dtype=torch.float32)


def weights_by_name(segmentor: nn.Module) -> None:
    """Set every parameter and buffer of ``segmentor`` to :func:`tensor_by_name` of its key."""
    state = segmentor.state_dict()
    segmentor.load_state_dict(
        {name: tensor_by_name(name, tuple(value.shape)) for name, value in state.items()}
    )
