"""Make the toy data: two domains of drawn street scenes, stored like GTA and Cityscapes.

A set is complete when ``toy.json`` in its folder says so; that file is written last, and says from
which settings the set was made.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from mmseg.utils import InputError, atomic_path

from .domains import GAME, OVERCAST, PALETTE, Domain
from .layout import random_scene
from .render import render
from .scene import scene_polygons
from .writers import Polygons, cityscapes_stem, write_cityscapes, write_gta

MARKER = "toy.json"
DRAWING = 2
"""Raise this when scenes of the same settings are drawn differently: old sets are then remade."""

SOURCE_SIZES = ((256, 144), (272, 152), (280, 150), (256, 136))
"""Width and height in pixels of the source images, in turn."""
TARGET_SIZE = (256, 128)
CITIES = {"train": ("toyburg", "toyhaven", "toyfield"), "val": ("toyport", "toymouth")}
SET_NUMBERS = {"source": 0, "train": 1, "val": 2}
"""Keeps the random streams of the three sets apart."""


@dataclass(frozen=True)
class ToySettings:
    """What a toy set is made of: numbers of images, and the seed of all chance."""

    num_source: int = 400
    num_target_train: int = 300
    num_val: int = 60
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < (least := 0 if name == "seed" else 1):
                raise InputError(f"{name} must be at least {least}, got {value}")


def make_toy_data(root: str | Path, settings: ToySettings | None = None, nproc: int = 2) -> bool:
    """Draw the images, then run the converters of GTA and Cityscapes over them.

    Args:
        root: Folder that gets ``gta/`` and ``cityscapes/``; it must be new, empty or a toy set.
        settings: What to make; the defaults if None.
        nproc: Number of processes; the files do not depend on it.

    Returns:
        False if a complete set of these settings was there already and nothing was done.

    Raises:
        InputError: if the folder holds something else or cannot be written to.
    """
    from ..conversion import convert_cityscapes, convert_gta

    root, settings = Path(root), settings or ToySettings()
    recipe = _recipe(settings)
    if _is_complete(root, recipe):
        return False
    try:
        _clear(root)
        _write_marker(root, {"complete": False})
        _make_folders(root)
        _draw_all(root, settings, nproc)
        for report in (
            convert_gta(root / "gta", nproc),
            convert_cityscapes(root / "cityscapes", nproc),
        ):
            if report.problems:
                raise InputError(f"the toy data cannot be converted: {report.problems[0]}")
        _write_marker(root, {"complete": True, **recipe})
    except OSError as error:
        raise InputError(
            f"the toy data cannot be written: {error}: give a folder that can"
        ) from error
    except BrokenProcessPool as error:
        raise InputError("a worker process was killed: run again with a smaller --nproc") from error
    return True


def has_toy_data(root: str | Path) -> bool:
    """Whether ``root`` holds a complete toy set, of whatever settings."""
    return (_read_marker(Path(root)) or {}).get("complete", False)


def draw_source(settings: ToySettings, index: int) -> tuple[np.ndarray, Polygons]:
    """Source image ``index``: RGB (H, W, 3) uint8 and its annotation."""
    return _draw("source", settings, index, SOURCE_SIZES[index % len(SOURCE_SIZES)], GAME)


def draw_target(split: str, settings: ToySettings, index: int) -> tuple[np.ndarray, Polygons]:
    """Target image ``index`` of ``train`` or ``val``: RGB (H, W, 3) uint8 and its annotation."""
    return _draw(split, settings, index, TARGET_SIZE, OVERCAST)


def _draw(
    name: str, settings: ToySettings, index: int, size: tuple[int, int], domain: Domain
) -> tuple[np.ndarray, Polygons]:
    rng = np.random.default_rng([settings.seed, SET_NUMBERS[name], index])
    scene = random_scene(rng, *size, ego_vehicle=name != "source")
    return render(scene, domain, rng), scene_polygons(scene)


def _recipe(settings: ToySettings) -> dict:
    """Everything the files depend on, as it reads back from JSON."""
    looks = {"palette": PALETTE, "source": asdict(GAME), "target": asdict(OVERCAST)}
    return json.loads(json.dumps({"drawing": DRAWING, "settings": asdict(settings), **looks}))


def _read_marker(root: Path) -> dict | None:
    try:
        marker = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else None


def _write_marker(root: Path, content: dict) -> None:
    with atomic_path(root / MARKER) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _is_complete(root: Path, recipe: dict) -> bool:
    """Whether the marker names this recipe and no image or label was removed since."""
    if _read_marker(root) != {"complete": True, **recipe}:
        return False
    settings = ToySettings(**recipe["settings"])
    target = settings.num_target_train + settings.num_val
    expected = {
        "gta/images/*.png": settings.num_source,
        "gta/labels/*_labelTrainIds.png": settings.num_source,
        "cityscapes/leftImg8bit/*/*/*.png": target,
        "cityscapes/gtFine/*/*/*_labelTrainIds.png": target,
    }
    return all(len(list(root.glob(pattern))) == count for pattern, count in expected.items())


def _clear(root: Path) -> None:
    """Remove an older or unfinished toy set, and nothing that is not one."""
    if root.exists() and not root.is_dir():
        raise InputError(f"{root} is a file: give a folder for the toy data")
    if not root.exists() or not any(root.iterdir()):
        return
    if _read_marker(root) is None:
        raise InputError(f"{root} holds other files than toy data: give a new or empty folder")
    _write_marker(root, {"complete": False})
    for name in ("gta", "cityscapes"):
        if (root / name).exists():
            shutil.rmtree(root / name)


def _make_folders(root: Path) -> None:
    folders = [root / "gta/images", root / "gta/labels"]
    for kind in ("leftImg8bit", "gtFine"):
        for split, cities in CITIES.items():
            folders += [root / "cityscapes" / kind / split / city for city in cities]
    for folder in folders:
        folder.mkdir(parents=True)


def _draw_all(root: Path, settings: ToySettings, nproc: int) -> None:
    numbers = (settings.num_source, settings.num_target_train, settings.num_val)
    tasks = [
        (name, i) for name, count in zip(SET_NUMBERS, numbers, strict=True) for i in range(count)
    ]
    draw = partial(_draw_and_write, root, settings)

    def results() -> Iterator[None]:
        if nproc == 1:
            yield from map(draw, tasks)
            return
        with ProcessPoolExecutor(nproc, initializer=cv2.setNumThreads, initargs=(0,)) as pool:
            yield from pool.map(draw, tasks, chunksize=8)

    console = Console(file=sys.stderr)
    for _ in track(results(), total=len(tasks), description="scenes", console=console):
        pass


def _draw_and_write(root: Path, settings: ToySettings, task: tuple[str, int]) -> None:
    name, index = task
    if name == "source":
        write_gta(root / "gta", index, *draw_source(settings, index))
        return
    stem = cityscapes_stem(index, CITIES[name])
    write_cityscapes(root / "cityscapes", name, stem, *draw_target(name, settings, index))
