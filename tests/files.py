"""Context managers that record opened files and simulate a full disk."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LISTENING: list[list[str]] = []


def _note(event: str, args: tuple) -> None:
    if event == "open":
        for paths in _LISTENING:
            paths.append(str(args[0]))


# The hook stays for the rest of the process: Python cannot remove one.
sys.addaudithook(_note)


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Collect the paths of all files that this process opens in the block, in order."""
    paths: list[str] = []
    _LISTENING.append(paths)
    try:
        yield paths
    finally:
        _LISTENING.remove(paths)


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Let no file grow beyond ``room`` bytes in the block: writing more raises an OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
