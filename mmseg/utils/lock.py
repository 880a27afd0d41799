"""Folders that one process at a time works in."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import InputError
from .io import check_writable

#: Hidden, so that it is no part of what a folder holds.
LOCK = ".lock"


@contextmanager
def locked(folder: Path, option: str, name: str = LOCK) -> Iterator[None]:
    """Keep other processes out of a folder for the time of the block; make it if need be.

    The system frees the lock when this process dies, however that happens; processes that it has
    forked do not hold it. After the block the file of the lock is gone, and so are the folder and
    those above it if they were made for the lock and are empty.

    Args:
        folder: to work in.
        option: of the command line, by which another folder is chosen.
        name: of the lock's file. Locks of different names do not exclude each other.

    Raises:
        InputError: another process holds the lock, or the folder cannot be written.
    """
    path = folder / name
    lock = FileLock(path, blocking=False)
    new = [parent for parent in path.absolute().parents if not parent.exists()]
    try:
        check_writable(folder, option)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"{folder} is in use by another run: wait until that has ended, or choose another "
                f"folder with {option}"
            ) from None
        except OSError as error:
            raise InputError(
                f"cannot lock {path} ({error.strerror}): choose another folder with {option}"
            ) from error
        try:
            yield
        finally:
            # While it is still held: whoever opens it from now on makes a new one.
            path.unlink(missing_ok=True)
            lock.release()
    finally:
        for parent in new:
            with suppress(OSError):  # it is not empty
                parent.rmdir()
