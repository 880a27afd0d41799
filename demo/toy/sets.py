"""Make the toy data sets, which are rows of one table.

To add a set, add a row to :data:`TOY_SETS`, with a function that draws one image and writes it in
the format of the real data set (:mod:`.writers`).

``toy.json`` next to the sets lists those that are complete, and the settings of each. A set is
removed from it before its files are changed, and added when its last file is written.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mmseg.datasets.acdc import CONDITIONS
from mmseg.utils import InputError, atomic_path
from mmseg.utils.jobs import with_progress
from mmseg.utils.work_dir import LOCK, locked
from tools.common.processes import map_in_processes
from tools.convert_datasets.conversion import (
    ConversionReport,
    convert_cityscapes,
    convert_gta,
    convert_synthia,
)

from .domains import (
    CITY_MODEL,
    DAYLIGHT,
    FOG,
    GAME,
    NIGHT,
    OVERCAST,
    PALETTE,
    RAIN,
    SNOW,
    Domain,
)
from .layout import another_day, random_scene, random_street
from .render import render
from .scene import Scene, scene_polygons
from .writers import (
    DRIVES,
    acdc_frame,
    night_frame,
    write_cityscapes,
    write_correspondence,
    write_day,
    write_frame,
    write_gta,
    write_synthia,
)

GTA_SIZES = ((256, 144), (272, 152), (280, 150), (256, 136))
"""Widths and heights in pixels, which images take in turn."""
CITYSCAPES_SIZE = (256, 128)
SYNTHIA_SIZE = (256, 152)
DARK_ZURICH_SIZE = (256, 144)
ACDC_SIZE = (256, 144)
WEATHER = {"fog": FOG, "night": NIGHT, "rain": RAIN, "snow": SNOW}
"""Look of each condition of ACDC."""


@dataclass(frozen=True)
class ToySettings:
    """Numbers of images of one set, and the seed of all random numbers."""

    num_source: int = 400
    num_target_train: int = 300
    num_val: int = 60
    num_test: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < (least := 0 if name == "seed" else 1):
                raise InputError(f"{name} must be at least {least}, got {value}")


@dataclass(frozen=True)
class Split:
    """A part of a set: the field of :class:`ToySettings` with its size, and its random stream.

    Each split of each set has a different ``stream``, so that no two show the same streets.
    """

    size: str
    stream: int


Counts = Mapping[str, int]
"""Number of images of each split."""


@dataclass(frozen=True)
class ToySet:
    """One data set.

    Args:
        drawing: version of the drawing; increase it when the same settings and looks give other
            files, so that older sets are made again.
        looks: the domains that it shows.
        splits: its parts by name.
        draw: draws image ``index`` of a split and writes it below the set's folder.
        finish: makes the remaining files from the written ones, given the number of processes.
        files: pattern -> number of files that there must be.
        smallest: least number of images of a split.
    """

    drawing: int
    looks: Mapping[str, Domain]
    splits: Mapping[str, Split]
    draw: Callable[[Path, str, int, np.random.Generator], None]
    finish: Callable[[Path, Counts, int], None]
    files: Callable[[Counts], Mapping[str, int]]
    smallest: int = 1

    def counts(self, settings: ToySettings) -> Counts:
        """Return the number of images of each split."""
        return {
            name: max(getattr(settings, split.size), self.smallest)
            for name, split in self.splits.items()
        }


def _by(
    convert: Callable[[Path, int], ConversionReport],
) -> Callable[[Path, Counts, int], None]:
    """Return a function that finishes a set by its converter."""

    def finish(root: Path, counts: Counts, nproc: int) -> None:
        report = convert(root, nproc)
        if report.problems:
            raise InputError(f"the toy data cannot be converted: {report.problems[0]}")

    return finish


def _draw_gta(root: Path, split: str, index: int, rng: np.random.Generator) -> None:
    scene = random_scene(rng, *GTA_SIZES[index % len(GTA_SIZES)])
    write_gta(root, index, render(scene, GAME, rng), scene_polygons(scene))


def _gta_files(counts: Counts) -> Mapping[str, int]:
    return {"images/*.png": counts["train"], "labels/*_labelTrainIds.png": counts["train"]}


def _draw_cityscapes(root: Path, split: str, index: int, rng: np.random.Generator) -> None:
    scene = random_scene(rng, *CITYSCAPES_SIZE, ego_vehicle=True)
    write_cityscapes(root, index, split, render(scene, OVERCAST, rng), scene_polygons(scene))


def _cityscapes_files(counts: Counts) -> Mapping[str, int]:
    total = counts["train"] + counts["val"]
    return {"leftImg8bit/*/*/*.png": total, "gtFine/*/*/*_labelTrainIds.png": total}


def _draw_synthia(root: Path, split: str, index: int, rng: np.random.Generator) -> None:
    scene = synthia_scene(rng)
    write_synthia(root, index, render(scene, CITY_MODEL, rng), scene_polygons(scene))


def synthia_scene(rng: np.random.Generator) -> Scene:
    """Make a street seen from higher up, without trucks and trams, and with unlabelled grass."""
    street = random_street(rng, *SYNTHIA_SIZE)
    camera = replace(street.camera, above=rng.uniform(2.6, 3.2))
    things = [
        replace(thing, label="ground") if thing.label == "terrain" else thing
        for thing in replace(street, camera=camera).scene().things
        if thing.label not in ("truck", "train")
    ]
    return Scene(camera, things)


def _synthia_files(counts: Counts) -> Mapping[str, int]:
    return {"RGB/*.png": counts["train"], "GT/LABELS/*_labelTrainIds.png": counts["train"]}


def _draw_dark_zurich(root: Path, split: str, index: int, rng: np.random.Generator) -> None:
    street = random_street(rng, *DARK_ZURICH_SIZE)
    scene = street.scene()
    polygons = scene_polygons(scene) if split == "val" else None
    write_frame(root, night_frame(split, index), render(scene, NIGHT, rng), polygons)
    if split == "train":
        write_day(root, index, render(another_day(street, rng).scene(), DAYLIGHT, rng))


def _finish_dark_zurich(root: Path, counts: Counts, nproc: int) -> None:
    write_correspondence(root, counts["train"])


def _dark_zurich_files(counts: Counts) -> Mapping[str, int]:
    return {
        "rgb_anon/*/night/*/*.png": sum(counts.values()),
        "rgb_anon/train/day/*/*.png": counts["train"],
        "gt/val/night/*/*_gt_labelTrainIds.png": counts["val"],
        "corresp/train/night/*.csv": min(counts["train"], len(DRIVES["train"])),
    }


def _draw_acdc(root: Path, split: str, index: int, rng: np.random.Generator) -> None:
    scene = random_scene(rng, *ACDC_SIZE)
    polygons = None if split == "test" else scene_polygons(scene)
    look = WEATHER[CONDITIONS[index % len(CONDITIONS)]]
    write_frame(root, acdc_frame(split, index), render(scene, look, rng), polygons)


def _acdc_files(counts: Counts) -> Mapping[str, int]:
    return {
        "rgb_anon/*/*/*/*.png": sum(counts.values()),
        "gt/*/*/*/*_gt_labelTrainIds.png": counts["train"] + counts["val"],
    }


TOY_SETS = {
    "gta": ToySet(
        drawing=2,
        looks={"source": GAME},
        splits={"train": Split("num_source", 0)},
        draw=_draw_gta,
        finish=_by(convert_gta),
        files=_gta_files,
    ),
    "cityscapes": ToySet(
        drawing=2,
        looks={"target": OVERCAST},
        splits={"train": Split("num_target_train", 1), "val": Split("num_val", 2)},
        draw=_draw_cityscapes,
        finish=_by(convert_cityscapes),
        files=_cityscapes_files,
    ),
    "synthia": ToySet(
        drawing=1,
        looks={"source": CITY_MODEL},
        splits={"train": Split("num_source", 3)},
        draw=_draw_synthia,
        finish=_by(convert_synthia),
        files=_synthia_files,
    ),
    "dark_zurich": ToySet(
        drawing=1,
        looks={"night": NIGHT, "day": DAYLIGHT},
        splits={
            "train": Split("num_target_train", 4),
            "val": Split("num_val", 5),
            "test": Split("num_test", 6),
        },
        draw=_draw_dark_zurich,
        finish=_finish_dark_zurich,
        files=_dark_zurich_files,
    ),
    "acdc": ToySet(
        drawing=1,
        looks=WEATHER,
        splits={
            "train": Split("num_target_train", 7),
            "val": Split("num_val", 8),
            "test": Split("num_test", 9),
        },
        draw=_draw_acdc,
        finish=lambda root, counts, nproc: None,
        files=_acdc_files,
        smallest=len(CONDITIONS),
    ),
}
"""Name of a folder -> its set."""


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
        root: folder for one folder per set; it must be new, empty or hold toy data.
        settings: numbers of images and seed; None: the defaults.
        nproc: number of processes; the files do not depend on it.
        sets: names in :data:`TOY_SETS`; other sets are left as they are.

    Returns:
        False if nothing was done, because the sets were complete and of these settings, or another
        process has just drawn them.

    Raises:
        InputError: if there is no such set, or the folder holds something else or cannot be
            written to.
    """
    root, settings = Path(root), settings or ToySettings()
    _check_names(sets)
    if all(_is_complete(root, name, settings) for name in sets):
        return False
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file: give a folder for the toy data")
    try:
        # Runs that start together need the same sets.
        with locked(root, "python tools/make_toy_data.py FOLDER", wait=True):
            todo = [name for name in sets if not _is_complete(root, name, settings)]
            _check_is_ours(root)
            for name in todo:
                _make_set(root, name, settings, nproc)
    except OSError as error:
        raise InputError(
            f"the toy data cannot be written: {error}: give a folder that can"
        ) from error
    return bool(todo)


def has_toy_data(root: str | Path, sets: Sequence[str] = DEFAULT_SETS) -> bool:
    """Tell whether ``root`` contains these sets, complete and of any settings."""
    _check_names(sets)
    return set(sets) <= set(_read_marker(Path(root)) or {})


def _check_names(sets: Sequence[str]) -> None:
    for name in sets:
        if name not in TOY_SETS:
            raise InputError(
                f"there is no toy data set {name!r}: choose from {', '.join(TOY_SETS)}"
            )


def _check_is_ours(root: Path) -> None:
    """Check that only toy data would be overwritten."""
    if _read_marker(root) is None and any(path.name != LOCK for path in root.iterdir()):
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
    """Collect everything that the files of a set depend on, as JSON returns it."""
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
    """Read the recipes of the complete sets; None if there is no marker."""
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
    """Tell whether the marker names this recipe, and all images and labels exist."""
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
