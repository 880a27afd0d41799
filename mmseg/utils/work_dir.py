"""The checkpoints in a work dir."""

import re
from pathlib import Path

from .checkpoint import load_checkpoint
from .errors import InputError


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
