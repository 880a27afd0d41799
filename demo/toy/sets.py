"""The toy data sets as rows of one table: what each is made of, and how it is drawn and stored.

A new set is a new row of :data:`TOY_SETS`, with a function that draws one image and writes it as
the real data set would hold it (:mod:`.writers`).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from mmseg.datasets.conversion import (
    ConversionReport,
    convert_cityscapes,
    convert_gta,
    convert_synthia,
)
from mmseg.utils import InputError

from .domains import CITY_MODEL, DAYLIGHT, GAME, NIGHT, OVERCAST, Domain
from .layout import another_day, random_scene, random_street
from .render import render
from .scene import Scene, scene_polygons
from .writers import (
    DRIVES,
    write_cityscapes,
    write_correspondence,
    write_day,
    write_gta,
    write_night,
    write_synthia,
)

GTA_SIZES = ((256, 144), (272, 152), (280, 150), (256, 136))
"""Width and height in pixels, in turn."""
CITYSCAPES_SIZE = (256, 128)
SYNTHIA_SIZE = (256, 152)
DARK_ZURICH_SIZE = (256, 144)


@dataclass(frozen=True)
class ToySettings:
    """What toy data is made of: numbers of images of one set, and the seed of all chance."""

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

    No two splits of all sets share a ``stream``, so that no two show the same streets.
    """

    size: str
    stream: int


Counts = Mapping[str, int]
"""Number of images of each split."""


@dataclass(frozen=True)
class ToySet:
    """One data set.

    Args:
        drawing: Raise this when the files come out otherwise for the same settings and looks: sets
            of before are then made anew.
        looks: The domains it shows.
        splits: Its parts by name.
        draw: Draws image ``index`` of a split and writes it below the set's folder.
        finish: Makes, from the written files and with so many processes, what is left.
        files: How many files of a pattern there must be.
    """

    drawing: int
    looks: Mapping[str, Domain]
    splits: Mapping[str, Split]
    draw: Callable[[Path, str, int, np.random.Generator], None]
    finish: Callable[[Path, Counts, int], None]
    files: Callable[[Counts], Mapping[str, int]]

    def counts(self, settings: ToySettings) -> Counts:
        """Number of images of each split."""
        return {name: getattr(settings, split.size) for name, split in self.splits.items()}


def _by(
    convert: Callable[[Path, int], ConversionReport],
) -> Callable[[Path, Counts, int], None]:
    """Finish a set by its converter."""

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
    """A street seen from higher up, without trucks and trams, whose grass is no class."""
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
    write_night(root, index, split, render(scene, NIGHT, rng), polygons)
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
}
"""The sets by the name of their folder."""
