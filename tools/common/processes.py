"""Pools of worker processes that end with their parent."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.process import BaseProcess
from typing import TypeVar

import cv2

from mmseg.utils import InputError

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
