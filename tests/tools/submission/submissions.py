"""Small submissions to test servers, and ways to break them."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (8, 4)
NIGHT_IMAGES = ("GOPR0356_frame_000001_rgb_anon", "GOPR0356_frame_000002_rgb_anon")
CITY_IMAGES = ("berlin_000000_000019", "mainz_000001_000002")
LABELS, INVALID, CONFIDENCE = "labelTrainIds", "labelTrainIds_invalid", "confidence"

Files = dict[str, bytes]


def png(values: np.ndarray | list, mode: str | None = None) -> bytes:
    """Encode an array as PNG, after conversion to ``mode`` of PIL if given."""
    image = Image.fromarray(np.asarray(values))
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, "PNG")
    return buffer.getvalue()


def label_map(width: int = SIZE[0], height: int = SIZE[1]) -> np.ndarray:
    """Return a map of the train ids 0-18, row by row, with one ignored pixel."""
    values = np.arange(width * height, dtype=np.uint8).reshape(height, width) % 19
    values[0, 0] = 255
    return values


def night_files() -> Files:
    """Return a valid submission to Dark Zurich: two images of 8x4 pixels."""
    files = {}
    for image in NIGHT_IMAGES:
        files[f"{LABELS}/{image}.png"] = files[f"{INVALID}/{image}.png"] = png(label_map())
        files[f"{CONFIDENCE}/{image}.png"] = png(label_map() + 100)
    return files


def city_files() -> Files:
    """Return a valid submission to Cityscapes: two images of 8x4 pixels, all label ids and 0."""
    label_ids = [0, 7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]
    values = np.array(label_ids + [7] * (SIZE[0] * SIZE[1] - len(label_ids)), np.uint8)
    map_of_ids = png(values.reshape(SIZE[::-1]))
    return {f"{image}_leftImg8bit.png": map_of_ids for image in CITY_IMAGES}


def write_zip(path: Path, files: Files) -> Path:
    """Write files to a zip; return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def renamed(change: Callable[[str], str]) -> Callable[[Files], Files]:
    """Return a function that renames the files of a submission."""
    return lambda files: {change(name): data for name, data in files.items()}


def replaced(name: str, data: bytes) -> Callable[[Files], Files]:
    """Return a function that replaces the content of one file of a submission."""
    return lambda files: files | {name: data}


def without(part: str) -> Callable[[Files], Files]:
    """Return a function that removes the files whose names hold ``part``."""
    return lambda files: {name: data for name, data in files.items() if part not in name}
