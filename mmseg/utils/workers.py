"""Pools of worker processes that end with their parent."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

import cv2

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
