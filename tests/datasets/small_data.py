"""Write small data sets in the real formats."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tools.convert_datasets.conversion import convert_gta

SOURCE_PIPELINE = [
    {"type": "LoadImageFromFile"},
    {"type": "LoadAnnotations"},
    {"type": "Resize", "scale": (96, 96), "keep_ratio": True},
    {"type": "RandomCrop", "crop_size": (32, 32), "cat_max_ratio": 0.75},
    {"type": "RandomFlip", "prob": 0.5},
    {"type": "PackSegInputs"},
]
TARGET_PIPELINE = [
    {"type": "LoadImageFromFile"},
    {"type": "Resize", "scale": (64, 64), "keep_ratio": True},
    {"type": "RandomFlip", "prob": 0.5},
    {"type": "PackSegInputs"},
]
LABELLED = {"img_path": "images", "seg_map_path": "labels"}


def write_image(path: Path, size: tuple[int, int], rng: np.random.Generator) -> None:
    """Write a random RGB image; ``size`` is (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


def write_palette_label(path: Path, label_ids: np.ndarray) -> None:
    """Write a label map in GTA's format: palette indices with arbitrary colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(label_ids.astype(np.uint8))
    image.putpalette([(7 * i) % 256 for i in range(768)])
    image.save(path)


def make_gta(root: Path, num: int = 4, convert: bool = True) -> Path:
    """Write images of 48 x 96 pixels; each block of 8 x 8 pixels has one random label id."""
    rng = np.random.default_rng(0)
    for i in range(num):
        ids = np.kron(rng.integers(0, 35, (6, 12)), np.ones((8, 8)))
        write_palette_label(root / f"labels/{i:05d}.png", ids)
        write_image(root / f"images/{i:05d}.png", (48, 96), rng)
    if convert:
        convert_gta(root)
    return root


def write_synthia_label(path: Path, ids: np.ndarray) -> None:
    """Write a label file in SYNTHIA's format: 16-bit RGB of class, instance (any number) and 0.

    The PNG is assembled byte by byte, so no library can change the order of the channels.
    """
    height, width = ids.shape
    instances = np.arange(height * width).reshape(height, width) % 1000
    pixels = np.stack([ids, instances, np.zeros_like(instances)], axis=-1).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_cityscapes(root: Path, names: dict[str, list[str]]) -> Path:
    """Write images of 32 x 64 pixels and polygons: road everywhere, a car of 10 x 6 on top."""
    rng = np.random.default_rng(1)
    for split, bases in names.items():
        for base in bases:
            write_image(root / f"leftImg8bit/{split}/{base}_leftImg8bit.png", (32, 64), rng)
            path = root / f"gtFine/{split}/{base}_gtFine_polygons.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(annotation("road", "car")))
    return root


def annotation(under: str, over: str) -> dict:
    """Return two polygons in Cityscapes' format; the second covers 60 of 2048 pixels."""
    everything = [[0, 0], [63, 0], [63, 31], [0, 31]]
    small = [[5, 4], [14, 4], [14, 9], [5, 9]]
    return {
        "imgHeight": 32,
        "imgWidth": 64,
        "objects": [{"label": under, "polygon": everything}, {"label": over, "polygon": small}],
    }


def cut(path: Path, keep: int) -> None:
    """Truncate a file to its first ``keep`` bytes, or drop ``-keep`` bytes at its end."""
    path.write_bytes(path.read_bytes()[:keep])


def write_label(path: Path, label: np.ndarray) -> None:
    """Write a label map with one 8-bit channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(label, np.uint8)).save(path)
