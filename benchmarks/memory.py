"""Count the memory of a training step on a GPU, without a GPU, by torch's fake tensors.

Fake tensors have shapes and dtypes, but no data. The step runs on fake tensors of the CPU, as torch
cannot run a backward pass for a GPU that is not there. Where a GPU keeps other tensors than a CPU,
``cpu_stands_for_gpu`` and :class:`GPURules` make the step keep those.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from mmseg.engine.performance import Performance
from mmseg.utils.memory import cpu_stands_for_gpu
from mmseg.utils.phases import observers

from .step import TrainingStep
from .training import TrainingSettings

# Kinds of tensors; all without a label are activations, gradients of activations and the like.
WEIGHTS, FROZEN, BUFFERS = "weights", "teacher, frozen networks", "buffers, statistics"
OPTIMIZER, GRADIENTS, ACTIVATIONS = "optimizer state", "gradients", "activations"
KINDS = (WEIGHTS, FROZEN, BUFFERS, OPTIMIZER, GRADIENTS, ACTIVATIONS)
# Bytes that CUDA's allocator rounds sizes up to a multiple of.
BLOCK = 512
# Functions that autocast computes in float32 on a GPU, but not on a CPU.
_IN_FLOAT32 = {
    *(F.layer_norm, F.group_norm, F.normalize, F.cosine_similarity, F.softplus, F.softmin),
    *(F.softmax, torch.softmax, Tensor.softmax),
    *(F.log_softmax, torch.log_softmax, Tensor.log_softmax),
    *(torch.exp, Tensor.exp, torch.log, Tensor.log, torch.rsqrt, Tensor.rsqrt),
    *(torch.pow, Tensor.pow, Tensor.__pow__, torch.reciprocal, Tensor.reciprocal),
    *(torch.sum, Tensor.sum, torch.prod, Tensor.prod, torch.cumsum, Tensor.cumsum),
    *(torch.norm, Tensor.norm),
}


class GPURules(TorchFunctionMode):
    """Make functions on a CPU keep the tensors for the backward pass that they keep on a GPU."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function with autocast's dtypes of a GPU, and dropout with a mask of bytes."""
        kwargs = dict(kwargs or {})
        if func is F.dropout:
            return _dropout(*args, **kwargs)
        if func in _IN_FLOAT32 and torch.is_autocast_enabled("cpu"):
            args, kwargs = tree_map_only(Tensor, _to_float32, (args, kwargs))
        return func(*args, **kwargs)


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    return torch.native_dropout(input, p, training)[0] if training and p else input


def _to_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


@contextmanager
def gpu_rules() -> Iterator[None]:
    """Apply :class:`GPURules` in all modules that are called within the context.

    A backward pass, in which activation checkpointing calls modules, leaves torch's function modes,
    but the hooks of modules remain.
    """
    rules = GPURules()
    depth = 0

    def enter(*_: Any) -> None:
        nonlocal depth
        if depth == 0:
            rules.__enter__()
        depth += 1

    def leave(*_: Any) -> None:
        nonlocal depth
        depth -= 1
        if depth == 0:
            rules.__exit__(None, None, None)

    handles = [
        register_module_forward_pre_hook(enter),
        register_module_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class _Storage:
    """Memory of tensors: a reference that tells when it is freed, its bytes and its kind."""

    reference: weakref.ref
    size: int
    kind: str = ACTIVATIONS


class MemoryCounter(TorchDispatchMode):
    """Count the bytes of all tensors that operations in the context make, as long as they live.

    Attributes:
        alive: bytes by kind: "activations", unless :meth:`label` has named another.
        peak: ``alive`` at the time since :meth:`restart` when it was largest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._storages: dict[int, _Storage] = {}

    def restart(self) -> None:
        """Forget the peak."""
        self.peak = Counter(self.alive)

    def label(self, tensors: Any, kind: str) -> None:
        """Give the tensors in a nested structure a kind; count those not made in the context."""
        for tensor in tree_leaves(tensors):
            storage = self._known(tensor)
            self.alive[storage.kind] -= storage.size
            self.alive[kind] += storage.size
            storage.kind = kind
        self._raise_peak()

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count the tensors that it makes."""
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self._known(each)
        self._raise_peak()
        return result

    def _raise_peak(self) -> None:
        if self.alive.total() > self.peak.total():
            self.peak = Counter(self.alive)

    def _known(self, tensor: Tensor) -> _Storage:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key not in self._storages:
            size = -(-storage.nbytes() // BLOCK) * BLOCK
            self._storages[key] = _Storage(weakref.ref(storage, lambda _: self._free(key)), size)
            self.alive[ACTIVATIONS] += size
        return self._storages[key]

    def _free(self, key: int) -> None:
        storage = self._storages.pop(key)
        self.alive[storage.kind] -= storage.size


class FakeStep(TrainingStep):
    """A training step on fake tensors of the CPU.

    Args:
        cfg: a whole config.
        settings: how the step is computed.
    """

    def __init__(self, cfg: Config, settings: TrainingSettings) -> None:
        with torch.device("meta"):
            super().__init__(cfg, settings, torch.device("meta"))

    def place(self, device: torch.device, performance: Performance) -> None:
        """Set the model up on the meta device, and make its tensors fake ones of the CPU."""
        super().place(device, performance)
        with FakeTensorMode(allow_non_fake_inputs=True):
            self.model.to_empty(device="cpu")
        self.model.data_preprocessor.to("cpu")


def count_memory(step: TrainingStep, batch: Mapping[str, Any]) -> dict[str, Counter[str]]:
    """Count the memory that a training step takes on a GPU, by its phases.

    Strong augmentation is left out: it handles images, before a loss keeps its activations.

    Args:
        step: a step on fake or real tensors of the CPU.
        batch: a batch as training gets it.

    Returns:
        Phase ("teacher", the name of each loss, "optimizer" ...) -> bytes of each of ``KINDS`` when
        their sum was largest in it.
    """
    model, optimizer = step.model, step.optim_wrapper.optimizer
    model.augmentation.jitter_threshold, model.augmentation.blur = 1.0, False
    learnt = [each for group in optimizer.param_groups for each in group["params"]]
    counter = MemoryCounter()
    counter.label(list(model.parameters()), FROZEN)
    counter.label(list(model.model.parameters()), WEIGHTS)
    counter.label(list(model.buffers()), BUFFERS)
    with cpu_stands_for_gpu(), gpu_rules(), counter:
        for parameter in learnt:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
        counter.label([list(state.values()) for state in optimizer.state.values()], OPTIMIZER)
        hooks = [
            each.register_post_accumulate_grad_hook(lambda it: counter.label(it.grad, GRADIENTS))
            for each in learnt
        ]
        with peaks_of_phases(counter) as peaks:
            step(batch)
    for hook in hooks:
        hook.remove()
    return peaks


@contextmanager
def peaks_of_phases(counter: MemoryCounter) -> Iterator[dict[str, Counter[str]]]:
    """Yield a dict that gets the peak of each phase; "rest" is outside all of them.

    In nested phases only the innermost counts.
    """
    peaks: dict[str, Counter[str]] = {}
    names = ["rest"]

    def record() -> None:
        before = peaks.get(names[-1], Counter())
        peaks[names[-1]] = max(before, counter.peak, key=Counter.total)
        counter.restart()

    @contextmanager
    def watch(name: str) -> Iterator[None]:
        record()
        names.append(name)
        yield
        record()
        names.pop()

    observers.append(watch)
    counter.restart()
    try:
        yield peaks
        record()
    finally:
        observers.remove(watch)
