"""Record opened files and simulate a full disk."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LISTENING: list[list[str]] = []


def _note(event: str, args: tuple) -> None:
    if event == "open":
        for paths in _LISTENING:
            paths.append(str(args[0]))


# Python cannot remove an audit hook, so it stays until the process ends.
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
    """Limit files to ``room`` bytes within the block: writing more raises an OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
