"""Work that goes on beside the main thread."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

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
    """Like ``map``, but ``pool`` is at work on the next items while the caller uses a result.

    ``Executor.map`` would take all items at once, and keep all results in memory.

    Args:
        function: called in the pool.
        items: consumed in the caller's thread as they are needed.
        pool: of threads or processes.
        ahead: how many results may wait.
        weight: of an item, for instance its size in memory.
        heaviest: what the items whose results wait may weigh together. A heavier one is waited for
            at once.

    Yields:
        The results in the order of ``items``; an exception of ``function`` is raised in its place.
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
