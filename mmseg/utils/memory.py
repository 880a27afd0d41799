"""Memory that tensors on the CPU have freed.

With :mod:`mmseg.models.segmentors.prediction` this is what is done for CPUs alone, and
``benchmarks/RESULTS.md`` says what it gains. Here: giving freed blocks back before the passes of a
training step saves 65 MiB of experiment 4's peak and takes no time; keeping them between predicted
images saves 2 to 8 s of processor time an image. There: images one by one (in batches of four
experiment 4 takes longer), the arg-max class by class (0.1 s and 18 MB), and strips of rows (a
photo of 12000x12000 pixels in 3.5 GB instead of 14 GB).
"""

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Parameters of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
# What glibc itself arrives at in a program that frees large blocks (mallopt(3)).
_USUAL = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}
_KEEP_ALL = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}


@functools.cache
def _glibc() -> Any:
    """The C library if it has the functions of glibc."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def give_back_freed_memory() -> None:
    """Let the C library return free pages to the system, where it can.

    glibc keeps blocks of up to 32 MB for later, in holes between others: after a backward pass on a
    CPU that is half a gigabyte in which the next one finds too little room.
    """
    if _glibc() is not None:
        _glibc().malloc_trim(0)


@contextmanager
def freed_memory_kept(keep: bool = True) -> Iterator[None]:
    """Let the C library keep what is freed for what comes next, where it can.

    By default glibc returns larger blocks at once and asks for new ones, whose pages the system has
    to find and clear one by one: for the maps of a large image that takes up to half as long as
    computing them. Afterwards all is given back, and glibc is set as by ``_USUAL``: what was set
    before cannot be asked for. Do not nest it.

    Args:
        keep: False changes nothing.
    """
    if not keep or _glibc() is None:
        yield
        return
    _set(_KEEP_ALL)
    try:
        yield
    finally:
        _set(_USUAL)
        give_back_freed_memory()


def _set(parameters: dict[int, int]) -> None:
    for name, value in parameters.items():
        _glibc().mallopt(name, value)
