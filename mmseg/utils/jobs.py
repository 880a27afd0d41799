"""Long jobs: in processes that end with their parent, ahead in threads, with a bar."""

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import track

from .errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Held by a pool's worker while it makes a file.
_busy = threading.Lock()


def map_in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], nproc: int, chunksize: int
) -> Iterator[Result]:
    """Like ``map``, in ``nproc`` processes; in this one if it is 1.

    If this process is killed, each of the others finishes the item that it is at, and ends.

    Args:
        function: of a module, so that it can be found in another process.
        items: handed out in chunks of ``chunksize``.

    Raises:
        InputError: one of the processes was killed.
    """
    if nproc == 1:
        yield from map(function, items)
        return
    try:
        with ProcessPoolExecutor(nproc, initializer=_start_worker) as pool:
            yield from pool.map(partial(_whole, function), items, chunksize=chunksize)
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process was killed, perhaps for lack of memory: run again with a smaller "
            "--nproc; finished files are kept"
        ) from error


def end_with_parent() -> None:
    """Let this worker process end when its parent does, however that ends: a pool's initializer."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _start_worker() -> None:
    cv2.setNumThreads(0)
    end_with_parent()


def _wait_for_parent() -> None:
    multiprocessing.parent_process().join()
    with _busy:
        os._exit(1)


def _whole(function: Callable[[Item], Result], item: Item) -> Result:
    with _busy:
        return function(item)


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


def with_progress(
    items: Iterable[Item], description: str, total: float | None = None
) -> Iterator[Item]:
    """Yield ``items`` and draw a bar on stderr; nothing where that is no terminal.

    Args:
        items: what the job goes through.
        description: of the job, before the bar.
        total: how many there are; by default their length, if they have one.
    """
    console = Console(file=sys.stderr)
    yield from track(items, description, total, console=console, disable=not console.is_terminal)
