"""Reading images and label maps, with an error that names the file when one is damaged."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg.utils import InputError

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_COLOUR_TYPE = slice(25, 26)
_PNG_PALETTE = b"\x03"


def list_files(folder: str | os.PathLike, suffix: str) -> list[str]:
    """Sorted paths of the files below ``folder`` that end with ``suffix``, relative to it.

    Links are followed. Hidden files are left out: a killed writer leaves its temporary ones so.
    """
    found = []
    for parent, _, names in os.walk(folder, followlinks=True):
        relative = os.path.relpath(parent, folder).replace(os.sep, "/")
        head = "" if relative == "." else f"{relative}/"
        found += [
            head + name for name in names if name.endswith(suffix) and not name.startswith(".")
        ]
    return sorted(found)


def read_image(path: str) -> np.ndarray:
    """Decode an image file to (H, W, 3) uint8, BGR."""
    image = cv2.imdecode(np.frombuffer(_read_whole(path), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path} cannot be decoded as an image: fetch or write it anew")
    return image


def read_label(path: str) -> np.ndarray:
    """Decode a label map to its values, (H, W) uint8; of a palette image, the indices.

    Raises:
        InputError: if the file is missing, damaged or not an 8-bit image of one channel.
    """
    data = _read_whole(path)
    # OpenCV is faster, but turns palette indices into colours.
    if data.startswith(_PNG_MAGIC) and data[_PNG_COLOUR_TYPE] == _PNG_PALETTE:
        label = _palette_indices(data, path)
    else:
        label = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if label is None:
        raise InputError(f"{path} cannot be decoded as an image: fetch or write it anew")
    if label.ndim != 2 or label.dtype != np.uint8:
        raise InputError(
            f"{path} is no label map: expected one 8-bit channel, "
            f"got {label.dtype} of shape {label.shape}"
        )
    return label


def count_values(label: np.ndarray) -> np.ndarray:
    """How often each value occurs in ``label`` (H, W) uint8, which may be a view: (256,) int64."""
    # Three times as fast as np.bincount, which works on an int64 copy; the float32 counts of
    # OpenCV are exact up to 2**24 pixels.
    return cv2.calcHist([label], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def _read_whole(path: str) -> bytes:
    """Read a file and see that its format's end marker is there.

    Some versions of OpenCV fill what a truncated file lacks instead of failing.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise InputError(f"{path} is empty: fetch or write it anew")
    png_is_cut = data.startswith(_PNG_MAGIC) and _PNG_END not in data[-4096:]
    jpeg_is_cut = data.startswith(_JPEG_MAGIC) and _JPEG_END not in data[-4096:]
    if png_is_cut or jpeg_is_cut:
        raise InputError(f"{path} is truncated ({len(data)} bytes): fetch or write it anew")
    return data


def _palette_indices(data: bytes, path: str) -> np.ndarray:
    try:
        return np.array(Image.open(io.BytesIO(data)))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} cannot be decoded as an image: fetch or write it anew") from error
