"""The folder of a run: its lock, its checkpoints, and the revision of the code that made them."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .checkpoint import load_checkpoint
from .errors import InputError
from .io import atomic_path, check_writable


def check_unused(work_dir: Path) -> None:
    """Check that no other run has left its checkpoints in ``work_dir``.

    Raises:
        InputError: one has.
    """
    if any(work_dir.glob("iter_*.pth")):
        raise InputError(
            f"{work_dir} holds the checkpoints of another run: --resume goes on with it, "
            "--work-dir chooses another folder"
        )


def latest_checkpoint(work_dir: Path) -> Path:
    """The checkpoint of the highest iteration in ``work_dir``.

    Checkpoints are moved into place when they are whole: a killed run leaves no half of one here.

    Raises:
        InputError: there is none.
    """
    found = _newest_first(work_dir)
    if not found:
        raise InputError(f"nothing to resume: no iter_*.pth in {work_dir}; train without --resume")
    return found[0]


def way_on_without(damaged: Path) -> str:
    """What to do about a damaged checkpoint that a run was to go on from."""
    useless = [damaged.name]
    for path in _newest_first(damaged.parent):
        if path == damaged:
            continue
        try:
            load_checkpoint(path, mapped=True)
        except InputError:
            useless.append(path.name)
        else:
            return f"remove {', '.join(useless)}, and --resume goes on from {path.name}"
    return f"no checkpoint in {damaged.parent} is whole: train without --resume in another folder"


def _newest_first(work_dir: Path) -> list[Path]:
    found = {
        int(match.group(1)): path
        for path in work_dir.glob("iter_*.pth")
        if (match := re.fullmatch(r"iter_(\d+)\.pth", path.name))
    }
    return [found[iteration] for iteration in sorted(found, reverse=True)]


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


ROOT = Path(__file__).resolve().parents[2]


def git_revision(root: Path = ROOT) -> str | None:
    """Ask git for the commit of a checkout.

    mmengine's ``get_git_hash`` asks for that of the current folder, which may be another project's.

    Args:
        root: top folder of the checkout; that of this code by default.

    Returns:
        40 hexadecimal digits, followed by ``-dirty`` if a file that git tracks has been changed;
        None if ``root`` is no checkout or git cannot tell.
    """
    if not (root / ".git").exists():  # git would look for one in the folders above
        return None
    command = ["git", "--no-optional-locks", f"--git-dir={root / '.git'}", f"--work-tree={root}"]
    command += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(
            command, cwd=root, check=True, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):  # not installed, or a folder of somebody else
        return None
    return answer.stdout.strip()


def drop_repeated(run: Path, current: str, iteration: int, evaluated: bool) -> None:
    """Remove lines from a run's logs that it logs again after resuming from a checkpoint.

    Args:
        run: the work dir.
        current: name of the current folder of logs, which is not changed.
        iteration: iteration of the checkpoint.
        evaluated: whether the checkpoint contains the scores of that iteration.
    """

    def stays(line: str) -> bool:
        try:
            row = json.loads(line)
        except ValueError:  # cut off when the run was killed
            return False
        return row["step"] < iteration or (
            row["step"] == iteration and ("iter" in row or evaluated)
        )

    for log in run.glob("*/vis_data/*.json"):
        if log.parts[-3] == current:
            continue
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        kept = [line for line in lines if stays(line)]
        if kept != lines:
            with atomic_path(log) as temporary:
                temporary.write_text("".join(kept), encoding="utf-8")
