"""Atomic writing of files."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path next to ``path`` that replaces it when the block ends without error.

    It has the same suffix, for writers that choose a format by it. Parent folders are created.

    Raises:
        OSError: if the file cannot be written; the error has its name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Only a part of a long name: with the random part it would be too long for the system.
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem[:48]}.", suffix=path.suffix
    )
    os.close(handle)
    # mkstemp makes private files; results should have the usual permissions.
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(temporary, 0o666 & ~mask)
    try:
        yield Path(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and not error.filename:  # errors of a write lack the name
            error.filename = str(path)
        raise
    finally:
        Path(temporary).unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike, option: str) -> None:
    """Check that files can be written in a folder; create the folder if it does not exist.

    Args:
        folder: path of the folder.
        option: command line option that chooses the folder, for the message.

    Raises:
        InputError: if files cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {folder} ({error.strerror}): choose another folder with {option}"
        ) from error


def remove_unfinished(path: str | os.PathLike) -> None:
    """Remove temporary files of :func:`atomic_path` that killed processes have left.

    Args:
        path: the path that they were to replace; its name may be a pattern.
    """
    path = Path(path)
    for temporary in path.parent.glob(f".{path.stem}.*{path.suffix}"):
        temporary.unlink()


@contextmanager
def undone_on_error(folder: str | os.PathLike, keep: Callable[[], bool]) -> Iterator[None]:
    """Remove what a block has added to ``folder`` if it fails or is interrupted.

    Files from before are not touched.

    Args:
        folder: an existing folder.
        keep: called after an error; returns whether to keep the new files.
    """
    folder = Path(folder)
    before = set(folder.iterdir())
    try:
        yield
    except BaseException:
        if not keep():
            for path in set(folder.iterdir()) - before:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        raise
