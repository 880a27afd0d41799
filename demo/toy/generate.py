"""Make the toy data sets that are asked for and not there yet (:data:`.sets.TOY_SETS`).

``toy.json`` beside the sets says which are complete, and from which settings each was made; a set
is struck off before it is touched and entered when the last of its files is written.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from mmseg.utils import InputError, atomic_path
from mmseg.utils.progress import with_progress
from mmseg.utils.workers import map_in_processes

from .domains import PALETTE
from .sets import TOY_SETS, ToySettings

MARKER = "toy.json"
DEFAULT_SETS = ("gta", "cityscapes")
"""The sets of the first demo."""


def make_toy_data(
    root: str | Path,
    settings: ToySettings | None = None,
    nproc: int = 2,
    sets: Sequence[str] = DEFAULT_SETS,
) -> bool:
    """Draw the images of the sets, and convert the sets that have a converter.

    Args:
        root: Folder that gets one folder a set; it must be new, empty or hold toy data.
        settings: What to make; the defaults if None.
        nproc: Number of processes; the files do not depend on it.
        sets: Which sets, names of :data:`.sets.TOY_SETS`; the others are left as they are.

    Returns:
        False if the sets were there already, complete and of these settings: nothing was done.

    Raises:
        InputError: if there is no such set, or the folder holds something else or cannot be
            written to.
    """
    root, settings = Path(root), settings or ToySettings()
    _check_names(sets)
    todo = [name for name in sets if not _is_complete(root, name, settings)]
    if not todo:
        return False
    try:
        _check_is_ours(root)
        for name in todo:
            _make_set(root, name, settings, nproc)
    except OSError as error:
        raise InputError(
            f"the toy data cannot be written: {error}: give a folder that can"
        ) from error
    return True


def has_toy_data(root: str | Path, sets: Sequence[str] = DEFAULT_SETS) -> bool:
    """Whether ``root`` holds these sets complete, of whatever settings."""
    _check_names(sets)
    return set(sets) <= set(_read_marker(Path(root)) or {})


def _check_names(sets: Sequence[str]) -> None:
    for name in sets:
        if name not in TOY_SETS:
            raise InputError(
                f"there is no toy data set {name!r}: choose from {', '.join(TOY_SETS)}"
            )


def _check_is_ours(root: Path) -> None:
    """That nothing but toy data would be lost."""
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file: give a folder for the toy data")
    if root.exists() and any(root.iterdir()) and _read_marker(root) is None:
        raise InputError(f"{root} holds other files than toy data: give a new or empty folder")


def _make_set(root: Path, name: str, settings: ToySettings, nproc: int) -> None:
    complete = {other: r for other, r in (_read_marker(root) or {}).items() if other != name}
    _write_marker(root, complete)
    if (root / name).exists():
        shutil.rmtree(root / name)
    _draw_all(root, name, settings, nproc)
    TOY_SETS[name].finish(root / name, TOY_SETS[name].counts(settings), nproc)
    _write_marker(root, complete | {name: _recipe(name, settings)})


def _recipe(name: str, settings: ToySettings) -> dict:
    """Everything a set's files depend on, as it reads back from JSON."""
    toy_set = TOY_SETS[name]
    recipe = {
        "drawing": toy_set.drawing,
        "counts": toy_set.counts(settings),
        "seed": settings.seed,
        "palette": PALETTE,
        "looks": {look: asdict(domain) for look, domain in toy_set.looks.items()},
    }
    return json.loads(json.dumps(recipe))


def _read_marker(root: Path) -> dict | None:
    """The recipes of the complete sets; None if there is no marker."""
    try:
        marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker.get("sets", {}) if isinstance(marker, dict) else None


def _write_marker(root: Path, sets: dict) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with atomic_path(root / MARKER) as temporary:
        temporary.write_text(json.dumps({"sets": sets}), encoding="utf-8")


def _is_complete(root: Path, name: str, settings: ToySettings) -> bool:
    """Whether the marker names this recipe and no image or label was removed since."""
    if (_read_marker(root) or {}).get(name) != _recipe(name, settings):
        return False
    toy_set = TOY_SETS[name]
    expected = toy_set.files(toy_set.counts(settings))
    return all(len(list((root / name).glob(p))) == count for p, count in expected.items())


def _draw_all(root: Path, name: str, settings: ToySettings, nproc: int) -> None:
    counts = TOY_SETS[name].counts(settings)
    tasks = [(split, index) for split, count in counts.items() for index in range(count)]
    draw = partial(_draw_one, root, name, settings.seed)
    drawn = map_in_processes(draw, tasks, nproc, chunksize=8)
    for _ in with_progress(drawn, name, len(tasks)):
        pass


def _draw_one(root: Path, name: str, seed: int, task: tuple[str, int]) -> None:
    split, index = task
    toy_set = TOY_SETS[name]
    rng = np.random.default_rng([seed, toy_set.splits[split].stream, index])
    toy_set.draw(root / name, split, index, rng)
