"""Provide the data of a config, or stand-ins of the real format and size if they are missing."""

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config

from demo.toy import CITY_MODEL, DAYLIGHT, GAME, NIGHT, OVERCAST, Domain
from demo.toy.layout import another_day, random_scene, random_street
from demo.toy.render import render
from demo.toy.scene import Scene, scene_polygons
from demo.toy.writers import (
    Polygons,
    acdc_frame,
    night_frame,
    write_cityscapes,
    write_correspondence,
    write_day,
    write_frame,
    write_gta,
    write_synthia,
)
from mmseg.utils import InputError
from tools.convert_datasets.conversion import convert_cityscapes, convert_gta, convert_synthia

from .step import note

FILES = 4
"""Number of images of a stand-in."""
ENLARGED = 2
"""Factor by which drawn images are enlarged: noise of single pixels hardly compresses; enlarged,
the PNGs are as large as photographs (GTA and Cityscapes: 2.2 to 2.3 MB on average), and take as
long to decode."""


@dataclass(frozen=True)
class StandIn:
    """Drawn data that replace a real data set.

    Attributes:
        size: width and height of the real images.
        draw: draws and writes image ``index``, given the folder, the size to draw in and the
            random generator.
        finish: writes the other files of a data set with this number of images.
    """

    size: tuple[int, int]
    draw: Callable[[Path, int, tuple[int, int], np.random.Generator], None]
    finish: Callable[[Path, int], object]

    def drawn(self, folder: Path, size: tuple[int, int], files: int) -> str:
        """Draw this many images of this width and height into a folder; return its path."""
        width, height = size
        for index in range(files):
            rng = np.random.default_rng(index)
            self.draw(folder, index, (width // ENLARGED, height // ENLARGED), rng)
        self.finish(folder, files)
        return str(folder)


@contextmanager
def with_data(
    cfg: Config, root: str | None = None, files: int = FILES
) -> Iterator[tuple[Config, dict[str, str]]]:
    """Yield a config whose training data exist, and the place of each domain's data.

    Args:
        cfg: a whole training config; it is not changed.
        root: folder of the data sets, each named like the last part of its ``data_root``; if
            None, missing data are drawn and removed at the end.
        files: number of images to draw for each domain.

    Raises:
        InputError: if the config has no ``train_dataloader`` of a domain-adaptation data set.
    """
    cfg = copy.deepcopy(cfg)
    data = (cfg.get("train_dataloader") or {}).get("dataset") or {}
    if not isinstance(data.get("source"), dict):
        raise InputError("the config has no train_dataloader of a UDADataset: measure another one")
    places = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("source", "target"):
            domain = data.get(name)
            if domain is None:
                continue
            if root:
                domain.data_root = str(Path(root) / Path(domain.get("data_root", "")).name)
            places[name] = f"{domain.type} in {domain.get('data_root', '')}"
            stand_in = STAND_INS.get(domain.type)
            if stand_in and not root and not Path(domain.get("data_root", "")).is_dir():
                width, height = stand_in.size
                places[name] = f"{domain.type}, {files} drawn images of {width}x{height}"
                note(f"{domain.data_root} does not exist: drawing stand-in images")
                domain.data_root = stand_in.drawn(Path(folder) / domain.type, stand_in.size, files)
        yield cfg, places


def _picture(scene: Scene, domain: Domain, rng: np.random.Generator) -> tuple[np.ndarray, Polygons]:
    """Draw a scene as an image (H, W, 3) uint8 and its annotation, both enlarged."""
    image = render(scene, domain, rng)
    size = image.shape[1] * ENLARGED, image.shape[0] * ENLARGED
    return cv2.resize(image, size), [(name, ENLARGED * p) for name, p in scene_polygons(scene)]


def _draw_gta(root: Path, index: int, size: Any, rng: np.random.Generator) -> None:
    write_gta(root, index, *_picture(random_scene(rng, *size), GAME, rng))


def _draw_cityscapes(root: Path, index: int, size: Any, rng: np.random.Generator) -> None:
    scene = random_scene(rng, *size, ego_vehicle=True)
    write_cityscapes(root, index, "train", *_picture(scene, OVERCAST, rng))


def _draw_synthia(root: Path, index: int, size: Any, rng: np.random.Generator) -> None:
    write_synthia(root, index, *_picture(random_scene(rng, *size), CITY_MODEL, rng))


def _draw_dark_zurich(root: Path, index: int, size: Any, rng: np.random.Generator) -> None:
    street = random_street(rng, *size)
    write_frame(root, night_frame("train", index), _picture(street.scene(), NIGHT, rng)[0], None)
    day = another_day(street, rng).scene()
    write_day(root, index, _picture(day, DAYLIGHT, rng)[0])


def _draw_acdc(root: Path, index: int, size: Any, rng: np.random.Generator) -> None:
    image, _ = _picture(random_scene(rng, *size), OVERCAST, rng)
    write_frame(root, acdc_frame("train", index), image, None)


STAND_INS = {
    "GTADataset": StandIn((1914, 1052), _draw_gta, lambda root, _: convert_gta(root)),
    "CityscapesDataset": StandIn(
        (2048, 1024), _draw_cityscapes, lambda root, _: convert_cityscapes(root)
    ),
    "SynthiaDataset": StandIn((1280, 760), _draw_synthia, lambda root, _: convert_synthia(root)),
    "DarkZurichDataset": StandIn((1920, 1080), _draw_dark_zurich, write_correspondence),
    "ACDCDataset": StandIn((1920, 1080), _draw_acdc, lambda root, count: None),
}
"""Type of a data set in configs -> its stand-in."""
