"""Reading images and label maps, with an error that names the file when one is damaged."""

import io
import os
import struct
from pathlib import Path

import cv2
import numpy as np
from kornia_rs.io import decode_image_png_u8
from PIL import ExifTags, Image

from mmseg.utils import InputError

# Of the images that people have; cameras write them in capitals too.
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")

# What an image may have; more are refused by its head, before it is decoded.
MAX_PIXELS = 2**28
OPENCV_PIXELS = 2**30  # its own limit
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

_TOO_MANY = "more pixels than the limit of {}: raise it with --max-pixels if this is right"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
# Width, height, bits a channel, colour type, two that never vary, and whether it is interlaced.
_PNG_HEAD, _PNG_HEAD_START = struct.Struct(">IIBBBBB"), 16
_PNG_COLOUR_TYPE = slice(25, 26)
_PNG_GREY, _PNG_RGB, _PNG_PALETTE = b"\0", b"\2", b"\3"


def allow_pixels(count: int) -> None:
    """Let all readers of this process decode images of up to ``count`` pixels.

    Raises:
        InputError: OpenCV does not decode so many.
    """
    global MAX_PIXELS
    if not 1 <= count <= OPENCV_PIXELS:
        raise InputError(f"--max-pixels {count}: must be between 1 and {OPENCV_PIXELS}")
    MAX_PIXELS = Image.MAX_IMAGE_PIXELS = count


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
    """Decode an image file to (H, W, 3) uint8, BGR, upright."""
    data = _read_whole(path)
    if not _has_exif(data):
        image = _decode_png(data, (_PNG_RGB,), "rgb")
        if image is not None:
            return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return _decode(data, cv2.IMREAD_COLOR, path)


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
    label = _decode_png(data, (_PNG_GREY, _PNG_PALETTE), "mono")
    if label is not None:
        return label[..., 0]
    # OpenCV would turn palette indices into colours.
    if _is_png(data) and data[_PNG_COLOUR_TYPE] == _PNG_PALETTE:
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
    _check_regular(path)
    try:
        with Image.open(path) as image:
            _check_pixels(image.size, path)
            lies_on_its_side = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
            return image.size[::-1] if lies_on_its_side else image.size
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} has {_TOO_MANY.format(MAX_PIXELS)}") from error
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path} cannot be read as an image: fetch or write it anew") from error


def count_values(label: np.ndarray) -> np.ndarray:
    """How often each value occurs in ``label`` (H, W) uint8, which may be a view: (256,) int64."""
    # Three times as fast as np.bincount, which works on an int64 copy; the float32 counts of
    # OpenCV are exact up to 2**24 pixels.
    return cv2.calcHist([label], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def _read_whole(path: str) -> bytes:
    _check_regular(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    _check_whole(data, path)
    return data


def _check_regular(path: str) -> None:
    """Refuse what is no file before it is opened: a named pipe would wait for a writer."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(
            f"{path} cannot be read: it is no regular file but a folder, pipe, socket or device"
        )


def _check_pixels(size: tuple[int, int], path: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(
            f"{path} is {size[0]}x{size[1]} pixels large, {_TOO_MANY.format(MAX_PIXELS)}"
        )


def _check_whole(data: bytes, path: str) -> None:
    """See that the end marker of the file's format is there.

    Some versions of OpenCV fill what a truncated file lacks instead of failing.
    """
    if not data:
        raise InputError(f"{path} is empty: fetch or write it anew")
    png_is_cut = _is_png(data) and _PNG_END not in data[-4096:]
    jpeg_is_cut = data.startswith(_JPEG_MAGIC) and _JPEG_END not in data[-4096:]
    if png_is_cut or jpeg_is_cut:
        raise InputError(f"{path} is truncated ({len(data)} bytes): fetch or write it anew")
    if _is_png(data) and len(data) >= _PNG_HEAD_START + _PNG_HEAD.size:
        _check_pixels(_PNG_HEAD.unpack_from(data, _PNG_HEAD_START)[:2], path)


def _is_png(data: bytes) -> bool:
    return data.startswith(_PNG_MAGIC)


def _decode_png(data: bytes, colour_types: tuple[bytes, ...], mode: str) -> np.ndarray | None:
    """Decode a plain 8-bit PNG to (H, W, channels) in less than half of OpenCV's time.

    Decoding is most of what a data loader does.

    Args:
        data: Content of a whole file.
        colour_types: Those of PNG that will do.
        mode: ``"rgb"`` or ``"mono"``, of what is decoded.

    Returns:
        None for other files, and for damaged ones: OpenCV may still read them, or know better why
        it cannot.
    """
    is_long_enough = len(data) >= _PNG_HEAD_START + _PNG_HEAD.size
    if not (_is_png(data) and is_long_enough and data[_PNG_COLOUR_TYPE] in colour_types):
        return None
    width, height, depth, *_, interlaced = _PNG_HEAD.unpack_from(data, _PNG_HEAD_START)
    if depth != 8 or interlaced:
        return None
    try:
        return decode_image_png_u8(data, (height, width), mode)
    except Exception:  # the only class that it raises
        return None


def _has_exif(data: bytes) -> bool:
    """Whether a PNG says how it is to be turned; OpenCV obeys."""
    start = len(_PNG_MAGIC)
    while _is_png(data) and start < len(data):
        if data[start + 4 : start + 8] == b"eXIf":
            return True
        start += int.from_bytes(data[start : start + 4], "big") + 12  # length, name, checksum
    return False


def _decode(data: bytes, flags: int, path: str) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # of an image beyond OpenCV's own limits
        image = None
    if image is None:
        raise InputError(f"{path} cannot be decoded as an image: fetch or write it anew")
    return image


def _palette_indices(data: bytes, path: str) -> np.ndarray:
    try:
        return np.array(Image.open(io.BytesIO(data)))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} cannot be decoded as an image: fetch or write it anew") from error
