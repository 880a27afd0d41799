"""Reuse of memory that tensors on the CPU have freed.

This module, :mod:`mmseg.models.segmentors.prediction` and contiguous maps in DAFormer's ASPP are
all code that is only for CPUs; ``benchmarks/RESULTS.md`` lists the gains. Here: returning freed
blocks before the passes of a training step saves 65 MiB of experiment 4's peak and takes no time;
keeping them between predicted images saves 2 to 8 s of processor time per image. In prediction:
images one by one (in batches of four experiment 4 takes longer), the arg-max class by class (0.1 s
and 18 MB), and strips of rows (a photo of 12000x12000 pixels in 3.5 GB instead of 14 GB).
"""

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: Bytes of freed blocks that are worth returning: the toy network frees less, and would spend a
#: tenth of a step on getting their pages back.
WORTH_RETURNING = 128 << 20
# Parameters of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
# Values that glibc reaches by itself in a program that frees large blocks (mallopt(3)).
_USUAL = {_MMAP_MAX: 65536, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}
_KEEP_ALL = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
# Not a ContextVar, which torch.compile cannot read.
_stands_for_gpu = False


def on_cpu(tensor: "Tensor") -> bool:
    """Tell whether code that is only for CPUs should handle a tensor."""
    return tensor.device.type == "cpu" and not _stands_for_gpu


@contextmanager
def cpu_stands_for_gpu() -> Iterator[None]:
    """Make tensors on the CPU take the code for GPUs within the context, to count its memory."""
    global _stands_for_gpu
    _stands_for_gpu = True
    try:
        yield
    finally:
        _stands_for_gpu = False


@functools.cache
def glibc() -> Any:
    """Load the C library if it has the functions of glibc."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


class _Blocks(ctypes.Structure):
    """glibc's ``struct mallinfo2``, in bytes and numbers of blocks."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def give_back_freed_memory(at_least: int = WORTH_RETURNING) -> None:
    """Make the C library return free pages to the system, if it can.

    glibc keeps blocks of up to 32 MB between others: after a backward pass on a CPU that is half a
    gigabyte, too fragmented for the next one.

    Args:
        at_least: bytes of freed blocks below which nothing is returned.
    """
    library = glibc()
    if library is None:
        return
    if hasattr(library, "mallinfo2"):  # since glibc 2.33
        library.mallinfo2.restype = _Blocks
        if library.mallinfo2().fordblks < at_least:
            return
    library.malloc_trim(0)


@contextmanager
def freed_memory_kept(keep: bool = True) -> Iterator[None]:
    """Make the C library keep freed blocks for reuse within the context, if it can.

    By default glibc returns larger blocks at once and requests new ones, whose pages the system has
    to clear: for the maps of a large image that takes up to half as long as computing them.
    Afterwards all is returned, and glibc is set to ``_USUAL``, as earlier settings cannot be read.
    Do not nest it.

    Args:
        keep: false changes nothing.
    """
    if not keep or glibc() is None:
        yield
        return
    _set(_KEEP_ALL)
    try:
        yield
    finally:
        _set(_USUAL)
        give_back_freed_memory(at_least=0)


def _set(parameters: dict[int, int]) -> None:
    for name, value in parameters.items():
        glibc().mallopt(name, value)
