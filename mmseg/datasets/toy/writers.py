"""Store drawn scenes in the on-disk formats of the real data sets."""

import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

Polygons = list[tuple[str, np.ndarray]]
"""Class name and corners (N, 2) int32 as x, y; later ones lie on top."""

COMPRESSION = 2
"""Level of the PNGs: noise hardly compresses, so more effort gains nothing."""


@cache
def label_ids() -> dict[str, int]:
    """Label id of every class name of Cityscapes."""
    from cityscapesscripts.helpers.labels import labels

    return {label.name: label.id for label in labels if label.id >= 0}


@cache
def label_palette() -> tuple[int, ...]:
    """The colours of the label ids as a flat PNG palette."""
    from cityscapesscripts.helpers.labels import id2label

    colours = [id2label[number].color for number in sorted(label_ids().values())]
    return tuple(channel for colour in colours for channel in colour)


def draw_label_ids(polygons: Polygons, width: int, height: int) -> np.ndarray:
    """Label ids (H, W) uint8, drawn in order as cityscapesscripts draws annotations."""
    image = Image.new("L", (width, height), label_ids()["unlabeled"])
    draw = ImageDraw.Draw(image)
    for label, polygon in polygons:
        draw.polygon([tuple(corner) for corner in polygon.tolist()], fill=label_ids()[label])
    return np.array(image)


def write_gta(root: Path, index: int, image: np.ndarray, polygons: Polygons) -> None:
    """Write ``images/<index>.png`` and the palette PNG ``labels/<index>.png`` of label ids.

    Args:
        root: The data root; its folders exist.
        index: Number of the image; names count from 00001 as in GTA.
        image: (H, W, 3) uint8 RGB.
        polygons: The annotation.
    """
    height, width = image.shape[:2]
    label = Image.fromarray(draw_label_ids(polygons, width, height)).convert("P")
    label.putpalette(label_palette())
    name = f"{index + 1:05d}.png"
    label.save(root / "labels" / name)
    Image.fromarray(image).save(root / "images" / name, compress_level=COMPRESSION)


def cityscapes_stem(index: int, cities: tuple[str, ...]) -> str:
    """``<city>/<city>_<sequence>_000019``: the cities take turns."""
    city = cities[index % len(cities)]
    return f"{city}/{city}_{index // len(cities):06d}_000019"


def write_cityscapes(
    root: Path, split: str, stem: str, image: np.ndarray, polygons: Polygons
) -> None:
    """Write the image and the polygons of one frame.

    Args:
        root: The data root; its folders exist.
        split: ``train`` or ``val``.
        stem: From :func:`cityscapes_stem`.
        image: (H, W, 3) uint8 RGB.
        polygons: The annotation.
    """
    height, width = image.shape[:2]
    objects = [{"label": label, "polygon": corners.tolist()} for label, corners in polygons]
    annotation = {"imgHeight": height, "imgWidth": width, "objects": objects}
    target = root / "gtFine" / split / f"{stem}_gtFine_polygons.json"
    target.write_text(json.dumps(annotation), encoding="utf-8")
    Image.fromarray(image).save(
        root / "leftImg8bit" / split / f"{stem}_leftImg8bit.png", compress_level=COMPRESSION
    )
