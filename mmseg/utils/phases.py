"""Named phases of a training step, for profilers and for measuring times."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch.profiler import record_function

#: Functions that make a context for each phase from its name, as :class:`PhaseClock` does.
observers: list[Callable[[str], AbstractContextManager[Any]]] = []

Mark = torch.cuda.Event | float


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Mark a block as the phase ``name``.

    It appears under this name in a trace of ``torch.profiler``. Phases may repeat and nest.
    """
    with ExitStack() as stack:
        stack.enter_context(record_function(name))
        for observe in observers:
            stack.enter_context(observe(name))
        yield


class PhaseClock:
    """Measure the phases that run within the context, without synchronising with the device.

    On CUDA the marks are events in the current stream, whose times are read later; on a CPU, where
    calls are synchronous, they are clock readings.

    Args:
        device: device that the phases run on.

    Attributes:
        spans: name, first and last mark of each phase, in the order in which they ended.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_cuda = device.type == "cuda"
        self.spans: list[tuple[str, Mark, Mark]] = []

    def mark(self) -> Mark:
        """Mark the current moment of the device."""
        if not self.on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, start: Mark, end: Mark) -> float:
        """Return the seconds between two marks that the device has passed."""
        if isinstance(start, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
            return start.elapsed_time(end) / 1e3
        if isinstance(start, int | float) and isinstance(end, int | float):
            return end - start
        raise TypeError("the marks are of different clocks")

    def seconds(self) -> dict[str, float]:
        """Return the seconds in all phases of a name since the last call; synchronise once."""
        if self.on_cuda:
            torch.cuda.synchronize()
        total: dict[str, float] = {}
        for name, start, end in self.spans:
            total[name] = total.get(name, 0.0) + self.between(start, end)
        self.spans.clear()
        return total

    @contextmanager
    def watch(self, name: str) -> Iterator[None]:
        """Measure a phase."""
        start = self.mark()
        yield
        self.spans.append((name, start, self.mark()))

    def __enter__(self) -> "PhaseClock":
        observers.append(self.watch)
        return self

    def __exit__(self, *exc_info: object) -> None:
        observers.remove(self.watch)
