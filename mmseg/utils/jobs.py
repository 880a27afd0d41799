"""Long jobs: in worker processes, ahead of time in threads, with a progress bar."""

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.process import BaseProcess
from typing import TypeVar

import cv2
from rich.console import Console
from rich.progress import track

from .errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Held by a worker of a pool while it processes an item.
_busy = threading.Lock()


def map_in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], nproc: int, chunksize: int
) -> Iterator[Result]:
    """Apply a function like ``map``, but in ``nproc`` processes; in this one if it is 1.

    If this process is killed, each of the others finishes its current item and ends.

    Args:
        function: a picklable function of a module.
        items: its arguments.
        nproc: number of processes.
        chunksize: number of items to send to a process at once.

    Raises:
        InputError: if a worker process was killed.
    """
    if nproc == 1:
        yield from map(function, items)
        return
    try:
        with ProcessPoolExecutor(nproc, initializer=_start_worker) as pool:
            yield from pool.map(partial(_run_item, function), items, chunksize=chunksize)
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process was killed, perhaps for lack of memory: run again with a smaller "
            "--nproc; finished files are kept"
        ) from error


def end_with_parent() -> None:
    """Make this worker process end when its parent ends in any way: a pool's initializer."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_exit_after, args=[parent], daemon=True).start()


def _start_worker() -> None:
    cv2.setNumThreads(0)
    end_with_parent()


def _exit_after(parent: BaseProcess) -> None:
    parent.join()
    with _busy:
        os._exit(1)


def _run_item(function: Callable[[Item], Result], item: Item) -> Result:
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
