"""PNG files: their head, and a fast decoder for the plain ones."""

import struct

import numpy as np
from kornia_rs.io import decode_image_png_u8

GREY, RGB, PALETTE = b"\0", b"\2", b"\3"  # colour types

_MAGIC = b"\x89PNG\r\n\x1a\n"
# Width, height, bits a channel, colour type, two that never vary, and whether it is interlaced.
_HEAD, _HEAD_START = struct.Struct(">IIBBBBB"), 16
_DEPTH, _COLOUR_TYPE = 24, slice(25, 26)


def is_png(data: bytes) -> bool:
    """Whether a file begins like a PNG."""
    return data.startswith(_MAGIC)


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height that a PNG gives; (0, 0) for any other file."""
    whole = is_png(data) and len(data) >= _HEAD_START + _HEAD.size
    return _HEAD.unpack_from(data, _HEAD_START)[:2] if whole else (0, 0)


def png_depth(data: bytes) -> int:
    """Bits a channel of a PNG; 8 for any other file."""
    return data[_DEPTH] if is_png(data) and len(data) > _DEPTH else 8


def chunks_before_pixels(data: bytes) -> set[bytes]:
    """Names of the chunks of a PNG in front of its pixels; none of any other file."""
    names, start = set(), len(_MAGIC)
    while is_png(data) and start < len(data) and b"IDAT" not in names:
        names.add(data[start + 4 : start + 8])
        start += int.from_bytes(data[start : start + 4], "big") + 12  # length, name, checksum
    return names


def decode_plain_png(data: bytes, colour_types: tuple[bytes, ...], mode: str) -> np.ndarray | None:
    """Decode a plain 8-bit PNG to (H, W, channels) in less than half of OpenCV's time.

    Decoding is most of what a data loader does.

    Args:
        data: Content of a whole file.
        colour_types: Those of PNG that will do.
        mode: ``"rgb"`` or ``"mono"``, of what is decoded.

    Returns:
        None for other files, for those with EXIF data, which may turn them, or with several frames,
        and for damaged ones: other decoders may still read them, or know better why they cannot.
    """
    is_long_enough = len(data) >= _HEAD_START + _HEAD.size
    if not (is_png(data) and is_long_enough and data[_COLOUR_TYPE] in colour_types):
        return None
    width, height, depth, *_, interlaced = _HEAD.unpack_from(data, _HEAD_START)
    if depth != 8 or interlaced or chunks_before_pixels(data) & {b"eXIf", b"acTL"}:
        return None
    try:
        return decode_image_png_u8(data, (height, width), mode)
    except Exception:  # the only class that it raises
        return None
