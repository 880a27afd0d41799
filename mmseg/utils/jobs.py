"""Long jobs: ahead of time in threads, with a progress bar."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    pool: Executor,
    ahead: int,
    weight: Callable[[Item], float] = lambda item: 0,
    heaviest: float = 0,
) -> Iterator[Result]:
    """Apply a function like ``map``, with ``pool`` ahead of the caller by a few items.

    ``Executor.map`` would take all items at once, and keep all results in memory.

    Args:
        function: function to call in the pool.
        items: its arguments, consumed in the caller's thread as they are needed.
        pool: pool of threads or processes.
        ahead: largest number of waiting results.
        weight: weight of an item, for instance its size in memory.
        heaviest: largest total weight of the items of waiting results. A heavier item is waited for
            at once.

    Yields:
        The results in the order of ``items``; an exception of ``function`` is raised at its turn.
    """
    waiting: deque[Future[Result]] = deque()
    weights: deque[float] = deque()
    for item in items:
        weights.append(weight(item))
        waiting.append(pool.submit(function, item))
        while len(waiting) > ahead or sum(weights) > heaviest:
            weights.popleft()
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def with_progress(
    items: Iterable[Item], description: str, total: float | None = None
) -> Iterator[Item]:
    """Yield ``items`` and draw a progress bar on stderr if that is a terminal.

    Args:
        items: items of the job.
        description: label of the bar.
        total: number of items; default: their length, if they have one.
    """
    console = Console(file=sys.stderr)
    yield from track(items, description, total, console=console, disable=not console.is_terminal)
