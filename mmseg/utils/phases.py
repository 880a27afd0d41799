"""The parts of a training step by name: for profilers, and for a clock that is laid on them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.profiler import record_function

_clock: "PhaseClock | None" = None


@contextmanager
def phase(name: str) -> Iterator[None]:
    """What runs inside belongs to the phase ``name``.

    It appears under this name in a trace of ``torch.profiler``. Phases may repeat and nest.
    """
    with record_function(name):
        clock = _clock
        start = clock.mark() if clock else None
        yield
        if clock:
            clock.spans.append((name, start, clock.mark()))


class PhaseClock:
    """Measures the phases that run while it is laid on, without waiting for the device.

    On CUDA the marks are events in the current stream, whose times are read later; on a CPU,
    which is done when a call returns, they are clock readings.

    Args:
        device: that the phases run on.

    Attributes:
        spans: name, first and last mark of each phase that ended, in the order in which they ended.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_cuda = device.type == "cuda"
        self.spans: list[tuple[str, torch.cuda.Event | float, torch.cuda.Event | float]] = []

    def mark(self) -> "torch.cuda.Event | float":
        """This moment of the device."""
        if not self.on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, start: "torch.cuda.Event | float", end: "torch.cuda.Event | float") -> float:
        """Seconds from one mark to another; the device must have passed both."""
        return start.elapsed_time(end) / 1e3 if self.on_cuda else end - start

    def seconds(self) -> dict[str, float]:
        """Seconds in all phases of a name since the last call; waits for the device once."""
        if self.on_cuda:
            torch.cuda.synchronize()
        total: dict[str, float] = {}
        for name, start, end in self.spans:
            total[name] = total.get(name, 0.0) + self.between(start, end)
        self.spans.clear()
        return total

    def __enter__(self) -> "PhaseClock":
        global _clock
        _clock = self
        return self

    def __exit__(self, *exc_info: object) -> None:
        global _clock
        _clock = None
