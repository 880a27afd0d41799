"""Named phases of a training step, for profilers and for measuring times."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.profiler import record_function

Mark = torch.cuda.Event | float
_clock: "PhaseClock | None" = None


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Mark a block as the phase ``name``.

    It appears under this name in a trace of ``torch.profiler``. Phases may repeat and nest.
    """
    with record_function(name):
        clock = _clock
        if clock is None:
            yield
            return
        start = clock.mark()
        yield
        clock.spans.append((name, start, clock.mark()))


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

    def __enter__(self) -> "PhaseClock":
        global _clock
        _clock = self
        return self

    def __exit__(self, *exc_info: object) -> None:
        global _clock
        _clock = None
