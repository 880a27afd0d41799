"""Store drawn scenes in the on-disk formats of the real data sets.

The first arguments are the data root and the number or name of the image; images are (H, W, 3)
uint8 RGB.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmseg.datasets.acdc import CONDITIONS
from mmseg.datasets.class_names import CITYSCAPES_CLASSES
from tools.convert_datasets.conversion.label_files import train_id_table
from tools.convert_datasets.conversion.synthia import SYNTHIA_ID_TO_TRAIN_ID

Polygons = list[tuple[str, np.ndarray]]
"""Class name and corners (N, 2) int32 as x, y; later ones lie on top."""

COMPRESSION = 2
"""Compression level of PNGs: noise hardly compresses, so a higher one gains nothing."""

CITIES = {"train": ("toyburg", "toyhaven", "toyfield"), "val": ("toyport", "toymouth")}
"""Cities of each split of Cityscapes, which images take in turn."""

DRIVES = {
    "train": ("TOYN0351", "TOYN0376", "TOYN0391"),
    "val": ("TOYN0356",),
    "test": ("TOYN0355", "TOYN0364"),
}
"""Drives of each split of Dark Zurich by night, which images take in turn."""
ACDC_DRIVES = {"train": "0475", "val": "0476", "test": "0477"}
"""Number of the drive of each split of ACDC, in each condition."""
DAY_DRIVE = {"TOYN0351": "TOYD0345", "TOYN0376": "TOYD0363", "TOYN0391": "TOYD0363"}
"""Drive by night -> drive by day along the same streets."""

COUNTABLE = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
"""Classes whose instances have numbers in the labels of SYNTHIA."""


@cache
def label_ids() -> dict[str, int]:
    """Return the label id of each class name of Cityscapes."""
    from cityscapesscripts.helpers.labels import labels

    return {label.name: label.id for label in labels if label.id >= 0}


@cache
def label_palette() -> tuple[int, ...]:
    """Return the colours of the label ids as a flat PNG palette."""
    from cityscapesscripts.helpers.labels import id2label

    colours = [id2label[number].color for number in sorted(label_ids().values())]
    return tuple(channel for colour in colours for channel in colour)


@cache
def synthia_ids() -> dict[str, int]:
    """Return the id in SYNTHIA of each class name."""
    return {CITYSCAPES_CLASSES[train]: number for number, train in SYNTHIA_ID_TO_TRAIN_ID.items()}


def draw_label_ids(polygons: Polygons, width: int, height: int) -> np.ndarray:
    """Draw label ids (H, W) uint8 in order, as cityscapesscripts draws annotations."""
    values = [label_ids()[label] for label, _ in polygons]
    return _draw(polygons, values, width, height, label_ids()["unlabeled"]).astype(np.uint8)


def draw_synthia_label(polygons: Polygons, width: int, height: int) -> np.ndarray:
    """Draw labels of SYNTHIA, (H, W, 3) uint16 in OpenCV's order: 0, instance number, class id.

    Instances of countable classes are numbered from 1, all others have 0; id 0 means no class.
    """
    classes = [synthia_ids().get(label, 0) for label, _ in polygons]
    numbers = np.cumsum([label in COUNTABLE for label, _ in polygons])
    things = [
        n if label in COUNTABLE else 0 for n, (label, _) in zip(numbers, polygons, strict=True)
    ]
    channels = [_draw(polygons, values, width, height) for values in (classes, things)]
    return np.stack([np.zeros_like(channels[0]), channels[1], channels[0]], axis=-1).astype(
        np.uint16
    )


def _draw(
    polygons: Polygons, values: Sequence[int], width: int, height: int, background: int = 0
) -> np.ndarray:
    """Fill each polygon with its value, (H, W) int32."""
    image = Image.new("I", (width, height), background)
    draw = ImageDraw.Draw(image)
    for (_, polygon), value in zip(polygons, values, strict=True):
        draw.polygon([tuple(corner) for corner in polygon.tolist()], fill=int(value))
    return np.array(image)


def write_gta(root: Path, index: int, image: np.ndarray, polygons: Polygons) -> None:
    """Write ``images/00001.png`` and the palette PNG ``labels/00001.png`` of label ids."""
    height, width = image.shape[:2]
    label = Image.fromarray(draw_label_ids(polygons, width, height)).convert("P")
    label.putpalette(label_palette())
    name = f"{index + 1:05d}.png"
    label.save(_ready(root / "labels" / name))
    _save_image(image, root / "images" / name)


def write_cityscapes(
    root: Path, index: int, split: str, image: np.ndarray, polygons: Polygons
) -> None:
    """Write the image and the polygons of ``<split>/<city>/<city>_<sequence>_000019``."""
    city, sequence = _turn(CITIES[split], index)
    stem = f"{split}/{city}/{city}_{sequence:06d}_000019"
    height, width = image.shape[:2]
    objects = [{"label": label, "polygon": corners.tolist()} for label, corners in polygons]
    annotation = {"imgHeight": height, "imgWidth": width, "objects": objects}
    target = _ready(root / f"gtFine/{stem}_gtFine_polygons.json")
    target.write_text(json.dumps(annotation), encoding="utf-8")
    _save_image(image, root / f"leftImg8bit/{stem}_leftImg8bit.png")


def write_synthia(root: Path, index: int, image: np.ndarray, polygons: Polygons) -> None:
    """Write ``RGB/0000000.png`` and the labels, 16 bits in 3 channels, in ``GT/LABELS``."""
    height, width = image.shape[:2]
    name = f"{index:07d}.png"
    label = draw_synthia_label(polygons, width, height)
    # PIL cannot write such a PNG.
    if not cv2.imwrite(str(_ready(root / "GT/LABELS" / name)), label):
        raise OSError(f"{root / 'GT/LABELS' / name} cannot be written")
    _save_image(image, root / "RGB" / name)


def write_frame(root: Path, frame: str, image: np.ndarray, polygons: Polygons | None) -> None:
    """Write an image of Dark Zurich or ACDC and, if there are polygons, its train ids."""
    _save_image(image, root / f"rgb_anon/{frame}_rgb_anon.png")
    if polygons is not None:
        height, width = image.shape[:2]
        label = train_id_table()[draw_label_ids(polygons, width, height)]
        Image.fromarray(label).save(_ready(root / f"gt/{frame}_gt_labelTrainIds.png"))


def write_day(root: Path, index: int, image: np.ndarray) -> None:
    """Write the day image of the place that night image ``index`` of ``train`` shows."""
    _save_image(image, root / f"rgb_anon/{day_frame(index)}_rgb_anon.png")


def write_correspondence(root: Path, count: int) -> None:
    """Write the day frame of each night frame of ``train``, in one file per night drive.

    Lines of ``corresp/train/night/<drive>.csv`` are a night and a day frame, without suffixes.
    """
    lines: dict[str, list[str]] = {}
    for index in range(count):
        drive, _ = _turn(DRIVES["train"], index)
        lines.setdefault(drive, []).append(f"{night_frame('train', index)},{day_frame(index)}\n")
    for drive, pairs in lines.items():
        path = _ready(root / f"corresp/train/night/{drive}.csv")
        path.write_text("".join(pairs), encoding="utf-8")


def night_frame(split: str, index: int) -> str:
    """Name a night frame: ``<split>/night/<drive>/<drive>_frame_000001``."""
    drive, number = _turn(DRIVES[split], index)
    return f"{split}/night/{drive}/{drive}_frame_{number + 1:06d}"


def acdc_frame(split: str, index: int) -> str:
    """Name an image of ACDC, ``<condition>/<split>/<drive>/<drive>_frame_000001``, in turn."""
    condition, number = _turn(CONDITIONS, index)
    drive = f"TOY{condition[0].upper()}{ACDC_DRIVES[split]}"
    return f"{condition}/{split}/{drive}/{drive}_frame_{number + 1:06d}"


def day_frame(index: int) -> str:
    """Name a day frame: ``train/day/<drive>/<drive>_frame_000004``, unlike its night frame."""
    night, _ = _turn(DRIVES["train"], index)
    return f"train/day/{DAY_DRIVE[night]}/{DAY_DRIVE[night]}_frame_{3 * index + 4:06d}"


def _turn(names: tuple[str, ...], index: int) -> tuple[str, int]:
    """Return the name whose turn ``index`` is, and how many turns it had before."""
    return names[index % len(names)], index // len(names)


def _save_image(image: np.ndarray, path: Path) -> None:
    Image.fromarray(image).save(_ready(path), compress_level=COMPRESSION)


def _ready(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
