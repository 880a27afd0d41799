"""Reading images and label maps, with an error that names the file when one is damaged."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

from mmseg.utils import InputError

# Of the images that people have; cameras write them in capitals too.
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_COLOUR_TYPE = slice(25, 26)
_PNG_PALETTE = b"\x03"


def list_files(folder: str | os.PathLike, suffix: str | tuple[str, ...]) -> list[str]:
    """Sorted paths of the files below ``folder`` that end with ``suffix``, relative to it.

    With several suffixes, any of them will do. Links are followed. Hidden files are left out: a
    killed writer leaves its temporary ones so.
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
    return _decode(_read_whole(path), cv2.IMREAD_COLOR, path)


def read_16_bit_image(path: str) -> np.ndarray:
    """Decode an image of three 16-bit channels to (H, W, 3) uint16; the file's first comes last.

    Raises:
        InputError: if the file is missing, damaged or of another kind.
    """
    image = _decode(_read_whole(path), cv2.IMREAD_UNCHANGED, path)
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"{path} has {image.dtype} values of shape {image.shape}: "
            "expected three 16-bit channels"
        )
    return image


def read_label(path: str) -> np.ndarray:
    """Decode a label map to its values, (H, W) uint8; of a palette image, the indices.

    Raises:
        InputError: if the file is missing, damaged or not an 8-bit image of one channel.
    """
    return decode_label(_read_whole(path), path)


def decode_label(data: bytes, path: str) -> np.ndarray:
    """As :func:`read_label`, of the content of the file ``path``."""
    _check_whole(data, path)
    # OpenCV is faster, but turns palette indices into colours.
    if data.startswith(_PNG_MAGIC) and data[_PNG_COLOUR_TYPE] == _PNG_PALETTE:
        label = _palette_indices(data, path)
    else:
        label = _decode(data, cv2.IMREAD_UNCHANGED, path)
    if label.ndim != 2 or label.dtype != np.uint8:
        raise InputError(
            f"{path} is no label map: expected one 8-bit channel, "
            f"got {label.dtype} of shape {label.shape}"
        )
    return label


def image_size(path: str) -> tuple[int, int]:
    """Width and height, from the head of an image file, of what :func:`read_image` returns.

    Raises:
        InputError: if the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            lies_on_its_side = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
            return image.size[::-1] if lies_on_its_side else image.size
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path} cannot be read as an image: fetch or write it anew") from error


def count_values(label: np.ndarray) -> np.ndarray:
    """How often each value occurs in ``label`` (H, W) uint8, which may be a view: (256,) int64."""
    # Three times as fast as np.bincount, which works on an int64 copy; the float32 counts of
    # OpenCV are exact up to 2**24 pixels.
    return cv2.calcHist([label], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def _read_whole(path: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    _check_whole(data, path)
    return data


def _check_whole(data: bytes, path: str) -> None:
    """See that the end marker of the file's format is there.

    Some versions of OpenCV fill what a truncated file lacks instead of failing.
    """
    if not data:
        raise InputError(f"{path} is empty: fetch or write it anew")
    png_is_cut = data.startswith(_PNG_MAGIC) and _PNG_END not in data[-4096:]
    jpeg_is_cut = data.startswith(_JPEG_MAGIC) and _JPEG_END not in data[-4096:]
    if png_is_cut or jpeg_is_cut:
        raise InputError(f"{path} is truncated ({len(data)} bytes): fetch or write it anew")


def _decode(data: bytes, flags: int, path: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise InputError(f"{path} cannot be decoded as an image: fetch or write it anew")
    return image


def _palette_indices(data: bytes, path: str) -> np.ndarray:
    try:
        return np.array(Image.open(io.BytesIO(data)))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} cannot be decoded as an image: fetch or write it anew") from error
