"""Checks of image files before decoding: that they exist, are complete and not too large."""

import io
import os
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from kornia_rs.io import decode_image_png_u8
from PIL import Image

from mmseg.utils import InputError

#: Largest number of pixels; larger images are refused by their header, before decoding.
MAX_PIXELS = 2**28
OPENCV_PIXELS = 2**30  # limit of OpenCV
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)

_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"


@contextmanager
def pixels_allowed(count: int) -> Iterator[None]:
    """Allow all readers of this process to decode up to ``count`` pixels within the context.

    Raises:
        InputError: if OpenCV cannot decode so many.
    """
    global MAX_PIXELS
    if not 1 <= count <= OPENCV_PIXELS:
        raise InputError(f"--max-pixels {count}: must be between 1 and {OPENCV_PIXELS}")
    before = MAX_PIXELS
    MAX_PIXELS = Image.MAX_IMAGE_PIXELS = count
    try:
        yield
    finally:
        MAX_PIXELS = Image.MAX_IMAGE_PIXELS = before


def read_whole(path: str) -> bytes:
    """Read the content of an image file.

    Raises:
        InputError: if it is missing, not a regular file, truncated, or its image too large.
    """
    check_regular(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    check_whole(data, path)
    return data


def check_regular(path: str) -> None:
    """Check that a path is a regular file before it is opened; a pipe would wait for a writer.

    Raises:
        InputError: if it is missing, or a folder, pipe, socket or device.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:  # ValueError: for a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}") from error
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{path} cannot be read: it is not a regular file but a folder, pipe, socket or device"
        )


def check_whole(data: bytes, path: str) -> None:
    """Check that a file has the end marker of its format, and that its image is not too large.

    Some versions of OpenCV fill the missing part of a truncated file instead of failing.

    Raises:
        InputError: if it is empty or truncated, or has more than ``MAX_PIXELS``.
    """
    if not data:
        raise InputError(f"{path} is empty: copy or write it again")
    png_is_cut = is_png(data) and _PNG_END not in data[-4096:]
    jpeg_is_cut = data.startswith(_JPEG_MAGIC) and _JPEG_END not in data[-4096:]
    if png_is_cut or jpeg_is_cut:
        raise InputError(f"{path} is truncated ({len(data)} bytes): copy or write it again")
    _check_pixels(_declared_size(data, path), path)


def open_head(source: str | io.BytesIO, path: str) -> Image.Image:
    """Open an image without decoding its pixels.

    Raises:
        InputError: if it is not an image, or has more than ``MAX_PIXELS``.
    """
    try:
        image = Image.open(source)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path) from error
    # Pillow's plugins raise any kind of exception for a damaged file.
    except Exception as error:
        raise undecodable(path) from error
    _check_pixels(image.size, path)
    return image


def undecodable(path: str) -> InputError:
    """Make the error for a file that cannot be decoded."""
    return InputError(f"{path} cannot be decoded as an image: copy or write it again")


def _declared_size(data: bytes, path: str) -> tuple[int, int]:
    """Read width and height of an image; (0, 0) if Pillow cannot (OpenCV may)."""
    if is_png(data) and len(data) >= _HEAD_START + _HEAD.size:
        return _HEAD.unpack_from(data, _HEAD_START)[:2]
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path) from error
    except Exception:  # Pillow's plugins raise any kind of exception for a damaged file
        return 0, 0


def _check_pixels(size: tuple[int, int], path: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise _too_large(path)


def _too_large(path: str) -> InputError:
    return InputError(
        f"{path} has more pixels than the limit of {MAX_PIXELS}: raise it with --max-pixels of "
        "tools.predict if this is right, or cut the image into smaller ones"
    )


_MAGIC = b"\x89PNG\r\n\x1a\n"
# Width, height, bits per channel, colour type, two constants, and whether it is interlaced.
_HEAD, _HEAD_START = struct.Struct(">IIBBBBB"), 16
PNG_DEPTH, _COLOUR_TYPE = 24, slice(25, 26)  # positions in the file
_COLOUR_TYPES = {"rgb": (b"\2",), "mono": (b"\0", b"\3")}  # mono: grey or palette


def is_png(data: bytes) -> bool:
    """Tell whether a file starts like a PNG."""
    return data.startswith(_MAGIC)


def chunks_before_pixels(data: bytes) -> set[bytes]:
    """List the chunks of a PNG before its pixels; empty for any other file."""
    names, start = set(), len(_MAGIC)
    while is_png(data) and start < len(data) and b"IDAT" not in names:
        names.add(data[start + 4 : start + 8])
        start += int.from_bytes(data[start : start + 4], "big") + 12  # length, name, checksum
    return names


def decode_plain_png(data: bytes, mode: Literal["rgb", "mono"]) -> np.ndarray | None:
    """Decode a plain 8-bit PNG to (H, W, channels) in less than half of OpenCV's time.

    Decoding is most of what a data loader does.

    Args:
        data: content of the file.
        mode: ``"rgb"``, or ``"mono"`` for grey values or indices of a palette.

    Returns:
        The image; None for other kinds of files, EXIF data, which may rotate the image, several
        frames, and damaged files: other decoders may read these, or explain why they cannot.
    """
    is_long_enough = len(data) >= _HEAD_START + _HEAD.size
    if not (is_png(data) and is_long_enough and data[_COLOUR_TYPE] in _COLOUR_TYPES[mode]):
        return None
    width, height, depth, *_, interlaced = _HEAD.unpack_from(data, _HEAD_START)
    if depth != 8 or interlaced or chunks_before_pixels(data) & {b"eXIf", b"acTL"}:
        return None
    try:
        return decode_image_png_u8(data, (height, width), mode)
    except Exception:  # the only class of error that it raises
        return None
