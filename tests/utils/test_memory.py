"""Test the reuse of memory that arrays have freed, measured by page faults."""

import json
import subprocess
import sys

import pytest

from mmseg.utils import memory
from mmseg.utils.memory import freed_memory_kept, give_back_freed_memory

SIZE = 96 << 20  # bytes; more than glibc keeps by itself
FREED = 64 << 20  # bytes in blocks that glibc keeps
LARGE = 5 << 29  # more than the largest limit that could be set
# Run in a separate process, whose memory has no gap that is large enough.
SCRIPT = f"""
import ctypes, json, resource
import numpy as np
from mmseg.utils.memory import freed_memory_kept, give_back_freed_memory

def bytes_found(times):
    found = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.full({SIZE}, 1, np.uint8)
        pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        found.append(pages * resource.getpagesize())
    return found

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

results = {{"before": bytes_found(3)}}
try:
    with freed_memory_kept():
        # Repeat, as a small allocation may land in the gap.
        results["kept"] = bytes_found(8)
        results["resident"] = resident()
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        top = libc.malloc(ctypes.c_size_t({LARGE}))
        libc.sbrk.restype = ctypes.c_void_p
        end = libc.sbrk(ctypes.c_ssize_t(0))
        libc.free(ctypes.c_void_p(top))
        results["large given back"] = end - libc.sbrk(ctypes.c_ssize_t(0))
        raise KeyError
except KeyError:
    results["given back"] = results["resident"] - resident()
results["after"] = bytes_found(3)
with freed_memory_kept(False):
    results["switched off"] = bytes_found(3)
blocks = [np.full({FREED} >> 6, 1, np.uint8) for _ in range(128)]
del blocks[::2]  # the others keep glibc from returning them by itself
full = resident()
give_back_freed_memory()
results["too little"] = full - resident()
give_back_freed_memory(at_least={FREED} >> 1)
results["enough"] = full - resident()
print(json.dumps(results))
"""


@pytest.mark.skipif(memory.glibc() is None, reason="the C library is not glibc")
def test_freed_memory_is_reused_only_while_it_is_kept():
    command = [sys.executable, "-c", SCRIPT]
    results = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert min(results["kept"]) < 0.01 * SIZE
    assert results["large given back"] == 0
    assert results["given back"] > 0.9 * SIZE
    assert results["too little"] < 0.1 * FREED < 0.8 * FREED < results["enough"]
    # A huge page, on systems that use them for everything, counts as one.
    least = SIZE / 1024
    assert min(results["before"] + results["after"] + results["switched off"]) > least


def test_other_c_libraries_are_left_alone(monkeypatch):
    memory.glibc.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    try:
        with freed_memory_kept():
            give_back_freed_memory()
        assert memory.glibc() is None
    finally:
        memory.glibc.cache_clear()
