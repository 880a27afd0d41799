"""Memory that tensors on the CPU have freed."""

import ctypes
import functools
import sys
from collections.abc import Callable


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not


def give_back_freed_memory() -> None:
    """Let the C library return free pages to the system, where it can.

    glibc keeps blocks of up to 32 MB for later, in holes between others: after a backward pass on a
    CPU that is half a gigabyte in which the next one finds too little room.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)
