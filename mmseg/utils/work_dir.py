"""Work dir of a run: its lock, its checkpoints and the revision of the code."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .checkpoint import load_checkpoint
from .errors import InputError
from .io import atomic_path, check_writable


def check_unused(work_dir: Path) -> None:
    """Check that ``work_dir`` contains no checkpoints of another run.

    Raises:
        InputError: if it does.
    """
    if any(work_dir.glob("iter_*.pth")):
        raise InputError(
            f"{work_dir} holds the checkpoints of another run: --resume goes on with it, "
            "--work-dir chooses another folder"
        )


def latest_checkpoint(work_dir: Path) -> Path:
    """Find the checkpoint of the highest iteration in ``work_dir``.

    Checkpoints are written atomically, so that a killed run leaves no partial ones.

    Raises:
        InputError: if there is no checkpoint.
    """
    found = _newest_first(work_dir)
    if not found:
        raise InputError(f"nothing to resume: no iter_*.pth in {work_dir}; train without --resume")
    return found[0]


def way_on_without(damaged: Path) -> str:
    """Say what to do about a damaged checkpoint that a run should resume from."""
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


#: A hidden file, which does not count as content of a folder.
LOCK = ".lock"


@contextmanager
def locked(folder: Path, option: str, name: str = LOCK, wait: bool = False) -> Iterator[None]:
    """Lock a folder for the duration of the block; create it if it does not exist.

    The system releases the lock when this process ends in any way; forked processes do not hold it.
    After the block the lock file is removed, and so are folders that were created for it and are
    empty.

    Args:
        folder: folder to work in.
        option: command line option that chooses the folder, for messages.
        name: name of the lock file. Locks of different names do not exclude each other.
        wait: whether to wait until no other process holds the lock.

    Raises:
        InputError: if another process holds the lock, or the folder cannot be written.
    """
    path = folder / name
    lock = FileLock(path, blocking=wait)
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
            # Remove the file while the lock is held; the next process creates a new one.
            path.unlink(missing_ok=True)
            lock.release()
    finally:
        for parent in new:
            with suppress(OSError):  # it is not empty
                parent.rmdir()


ROOT = Path(__file__).resolve().parents[2]


def git_revision(root: Path = ROOT) -> str | None:
    """Return the git commit of a checkout.

    mmengine's ``get_git_hash`` uses the current folder, which may be another project.

    Args:
        root: top folder of the checkout; default: that of this code.

    Returns:
        40 hexadecimal digits, followed by ``-dirty`` if a file that git tracks has been changed;
        None if ``root`` is not a checkout or git fails.
    """
    if not (root / ".git").exists():  # git would look for one in the folders above
        return None
    command = ["git", "--no-optional-locks", f"--git-dir={root / '.git'}", f"--work-tree={root}"]
    command += ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(
            command, cwd=root, check=True, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):  # git is missing, or the owner differs
        return None
    return answer.stdout.strip()


def append_line(log_dir: str | os.PathLike, name: str, row: Mapping[str, Any]) -> None:
    """Append a line to ``<log_dir>/vis_data/<name>.json``, next to the scalars.

    :func:`drop_repeated` removes lines that a resumed run writes again.

    Args:
        log_dir: folder of the logs of this start.
        name: name of the file.
        row: values for JSON: ``step``, the iteration; ``iter`` if the line is of training, not of
            an evaluation; and others.
    """
    path = Path(log_dir, "vis_data", f"{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


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
