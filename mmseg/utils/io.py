"""Files that are either whole or not there."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block ends without error.

    The suffix is kept, so that writers that choose a format by it work. Parent folders are made.

    Raises:
        OSError: the file cannot be written; the error has its name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of a long name a part: with what mkstemp adds, all of it would be too long for the system.
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem[:48]}.", suffix=path.suffix
    )
    os.close(handle)
    # mkstemp makes private files; results should have the permissions any new file has.
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(temporary, 0o666 & ~mask)
    try:
        yield Path(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and not error.filename:  # of a write: open files have lost their name
            error.filename = str(path)
        raise
    finally:
        Path(temporary).unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike, option: str) -> None:
    """See that files can be made in a folder, which is made if need be.

    Args:
        option: of the command line, by which another folder is chosen.

    Raises:
        InputError: they cannot.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to {folder} ({error.strerror}): choose another folder with {option}"
        ) from error


def remove_unfinished(path: str | os.PathLike) -> None:
    """Remove the temporary files that processes which were killed in :func:`atomic_path` have left.

    Args:
        path: that they were to replace; the name may be a pattern.
    """
    path = Path(path)
    for temporary in path.parent.glob(f".{path.stem}.*{path.suffix}"):
        temporary.unlink()


@contextmanager
def undone_on_error(folder: str | os.PathLike, keep: Callable[[], bool]) -> Iterator[None]:
    """Remove what a block has added to ``folder`` if it ends with an error or is interrupted.

    What was there before is not touched.

    Args:
        folder: that is there.
        keep: asked after an error: is what there is now worth keeping?
    """
    folder = Path(folder)
    before = set(folder.iterdir())
    try:
        yield
    except BaseException:
        if not keep():
            for path in set(folder.iterdir()) - before:
                _remove(path)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
