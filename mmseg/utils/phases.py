"""Named phases of a training step, for profilers and for measuring times."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from torch.profiler import record_function

#: Functions that make a context for each phase from its name, as benchmarks do to measure times.
observers: list[Callable[[str], AbstractContextManager[Any]]] = []


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
