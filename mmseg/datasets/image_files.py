"""Readers of images and label maps; a table in data/README.md lists the accepted formats."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from mmseg.utils import InputError

from .file_checks import (
    PNG_DEPTH,
    check_regular,
    check_whole,
    chunks_before_pixels,
    decode_plain_png,
    is_png,
    open_head,
    read_whole,
    undecodable,
)

#: Suffixes of common image formats; cameras write them in capitals too.
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# An InputError reports the problems that OpenCV would print to stderr.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_LABEL_FORMATS = ("PNG", "TIFF", "BMP")
_LOSSY = ("JPEG", "MPO", "JPEG2000")  # names of Pillow; MPO is a JPEG with several pictures
_PHOTOMETRIC, _WHITE_IS_ZERO, _BITS_PER_SAMPLE = 262, 0, 258  # tags and a value of TIFF
_NETPBM_MAGIC = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
# Cameras and satellites use 10 to 14 bits; larger values fill 16 bits.
_SMALLEST_16_BIT_MAXIMUM = 2**14


class UnfitLabel(InputError):
    """A readable file that is not a label map, or contains values that are not classes.

    Args:
        message: message that names the file.
        fault: what is wrong and what to do, the same for all files with this fault.
        values: the values, or colours, that are not classes.
    """

    # The error of a data loader's worker is rebuilt from its message only.
    def __init__(self, message: str, fault: str = "", values: Sequence = ()) -> None:
        super().__init__(message)
        self.fault, self.values = fault, values


def read_image(path: str) -> np.ndarray:
    """Decode an image file to (H, W, 3) uint8, BGR, oriented as its EXIF data says.

    Grey images get three equal channels; alpha channels are dropped; of several pages or frames the
    first is read; 16 bits per channel are reduced to 8.

    Raises:
        InputError: if the file is missing, damaged, too large or not a regular file, or if its
            16-bit values are so small that the image would be nearly black.
    """
    data = read_whole(path)
    image = decode_plain_png(data, "rgb")
    if image is not None:
        return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if data.startswith(_NETPBM_MAGIC):
        image = _decode_netpbm(data, path)
        if image is not None:
            return image
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    if is_png(data) and b"eXIf" not in chunks_before_pixels(data):
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    return _in_8_bits(decode(data, flags, path), path)


def read_label(path: str, data: bytes | None = None) -> np.ndarray:
    """Decode a label map to its stored values, (H, W) uint8; for a palette image, the indices.

    Args:
        path: path of the file.
        data: its content; None: read it.

    Raises:
        UnfitLabel: if the file is not a PNG, TIFF or BMP of one channel with values up to 255.
        InputError: if the file is missing, damaged, too large or not a regular file.
    """
    if data is None:
        data = read_whole(path)
    else:
        check_whole(data, path)
    label = decode_plain_png(data, "mono")
    if label is not None:
        return label[..., 0]
    with open_head(io.BytesIO(data), path) as image:
        _check_fault(_format_fault(image) or _channels_fault(image, path), path)
        bits = _bits_of_grey(image, data)
        values = _upright_pixels(image, path)
    if values.dtype == bool:
        return values.astype(np.uint8)
    if bits < 8:
        values //= 255 // (2**bits - 1)  # Pillow scales them to 0-255
    return _in_range(values, path)


def read_label_colors(path: str) -> np.ndarray:
    """Decode a label map whose classes are colours to (H, W, 3) uint8, RGB as a viewer shows them.

    Palettes are looked up; alpha channels are dropped.

    Raises:
        UnfitLabel: if the file is not a PNG, TIFF or BMP of 8 bits a channel or less.
        InputError: if the file is missing, damaged, too large or not a regular file.
    """
    data = read_whole(path)
    colors = decode_plain_png(data, "rgb")
    if colors is not None:
        return colors
    with open_head(io.BytesIO(data), path) as image:
        deep = is_png(data) and data[PNG_DEPTH] == 16
        shown = image.mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA") and not deep
        depth = None if shown else "its colours have not 8 bits a channel; save it as 8-bit PNG"
        _check_fault(_format_fault(image) or depth, path)
        return _upright_pixels(image, path, "RGB")


def read_label_channel(path: str) -> np.ndarray:
    """Decode the red channel of a label map with three or four channels to (H, W) uint8.

    Raises:
        UnfitLabel: if the file is not a PNG, TIFF or BMP of several channels, or the channel has a
            value above 255.
        InputError: if the file is missing, damaged, too large or not a regular file.
    """
    data = read_whole(path)
    colors = decode_plain_png(data, "rgb")
    if colors is not None:
        return cv2.extractChannel(colors, 0)
    with open_head(io.BytesIO(data), path) as image:
        single = len(image.getbands()) < 3
        one = "it has one channel; read it without labels='red'" if single else None
        _check_fault(_format_fault(image) or one, path)
        if is_png(data) and data[PNG_DEPTH] == 16:  # which Pillow would reduce to 8 bits
            # OpenCV returns the file's first channel last, or before alpha.
            return _in_range(decode(data, cv2.IMREAD_UNCHANGED, path)[..., 2], path)
        return cv2.extractChannel(_upright_pixels(image, path, "RGB"), 0)


def image_size(path: str) -> tuple[int, int]:
    """Read width and height of the result of :func:`read_image` from the header of a file.

    Raises:
        InputError: if the file is missing, too large or not an image.
    """
    return size_and_orientation(path)[0]


def size_and_orientation(path: str) -> tuple[tuple[int, int], int]:
    """Read :func:`image_size` and the EXIF orientation of an image: 1 (normal) to 8."""
    check_regular(path)
    with open_head(path, path) as image:
        orientation = _orientation(image)
        # For a TIFF, Pillow gives the size after rotation.
        is_swapped = image.format != "TIFF" and orientation >= 5
        return image.size[::-1] if is_swapped else image.size, orientation


def count_values(label: np.ndarray) -> np.ndarray:
    """Count each value in ``label`` (H, W) uint8, which may be a view: (256,) int64."""
    # Three times as fast as np.bincount, which makes an int64 copy; the float32 counts of OpenCV
    # are exact up to 2**24 pixels.
    rows = max(2**24 // max(label.shape[1], 1), 1)
    parts = (label[top : top + rows] for top in range(0, label.shape[0], rows))
    counts = [cv2.calcHist([part], [0], None, [256], [0, 256]).ravel() for part in parts]
    return np.stack(counts).sum(axis=0, dtype=np.int64)


def largest_class(label: np.ndarray) -> int:
    """Find the largest value other than 255 in ``label`` (H, W) uint8; -1 if there is none."""
    # 255 + 1 is 0 in uint8, so the maximum skips the ignored pixels without a mask.
    return int((label + np.uint8(1)).max()) - 1


def decode(data: bytes, flags: int, path: str) -> np.ndarray:
    """Decode the content ``data`` of an image file by ``cv2.imdecode`` with ``flags``.

    Raises:
        InputError: if OpenCV cannot decode it.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # the image exceeds OpenCV's limits
        image = None
    if image is None:
        raise undecodable(path)
    return image


def _in_8_bits(image: np.ndarray, path: str) -> np.ndarray:
    """Scale 16-bit values to 8 bits; refuse images that use only the lower bits."""
    if image.dtype == np.uint8:
        return image
    if image.dtype != np.uint16:
        raise InputError(f"{path} holds {image.dtype} values: save it with 8 bits a channel")
    largest = int(image.max())
    if 0 < largest < _SMALLEST_16_BIT_MAXIMUM:
        raise InputError(
            f"{path} has 16 bits a channel but no value above {largest}, so it would be nearly "
            "black: save all images with 8 bits a channel, divided by the same number (16 if the "
            "camera gives 12 bits)"
        )
    return (image >> 8).astype(np.uint8)


def _decode_netpbm(data: bytes, path: str) -> np.ndarray | None:
    """Decode a Netpbm file; only Pillow scales by the declared largest value, OpenCV does not."""
    with open_head(io.BytesIO(data), path) as image:
        if image.mode not in ("1", "L", "RGB"):
            return None
        try:
            return np.array(image.convert("RGB"))[..., ::-1].copy()
        except (OSError, ValueError) as error:
            raise undecodable(path) from error


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation: 1 (normal) to 8; from 5 on, width and height are swapped."""
    if isinstance(image, TiffImageFile):
        return image.tag_v2.get(ExifTags.Base.Orientation, 1)
    exif = Image.Exif()
    exif.load(image.info.get("exif") or b"")
    return exif.get(ExifTags.Base.Orientation, 1)


def _upright_pixels(image: Image.Image, path: str, mode: str | None = None) -> np.ndarray:
    """Decode an image as its EXIF data turn it, and convert it to a mode of Pillow."""
    try:
        upright = ImageOps.exif_transpose(image) if _orientation(image) > 1 else image
        return np.array(upright if mode is None else upright.convert(mode))
    # Pillow's plugins raise any kind of exception for a damaged file.
    except Exception as error:
        raise undecodable(path) from error


def _in_range(values: np.ndarray, path: str) -> np.ndarray:
    """Convert the values of a label map to uint8; refuse those that are out of its range."""
    if values.dtype == np.uint8:
        return values
    strange = np.unique(values[(values < 0) | (values > 255)]).tolist()
    if strange:
        fault = "class indices go from 0 to 254, and 255 means no class; write these instead"
        message = f"{path} is not a label map: it holds the value {strange[0]}; {fault}"
        raise UnfitLabel(message, fault, strange)
    return values.astype(np.uint8)


def _check_fault(fault: str | None, path: str) -> None:
    if fault is not None:
        raise UnfitLabel(f"{path} is not a label map: {fault}", fault)


def _format_fault(image: Image.Image) -> str | None:
    """Say why a file cannot be a label map of any kind, and what to do; None if it can."""
    if image.format in _LOSSY or image.info.get("compression") in ("jpeg", "webp"):
        return "JPEG changes the values of pixels; export it as PNG where it was drawn"
    if image.format not in _LABEL_FORMATS:
        return f"it is a {image.format} file; save it as PNG"
    if isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return "it is a TIFF that counts from white; save it as PNG"
    if getattr(image, "n_frames", 1) > 1:
        return "it has several pages or frames; save the right one as PNG"
    return None


def _channels_fault(image: Image.Image, path: str) -> str | None:
    """Say why an image does not hold one channel of integers, and what to do; None if it does."""
    if image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;"):
        return None
    bands = image.getbands()
    if len(bands) == 1:
        return "its values are not integers; save them as 8-bit PNG"
    try:
        first, *others = (image.getchannel(name).tobytes() for name in bands if name != "A")
    # Pillow's plugins raise any kind of exception for a damaged file.
    except Exception as error:
        raise undecodable(path) from error
    if all(other == first for other in others):
        way_out = (
            "save the first alone, with Pillow: Image.open(FILE).getchannel(0).save(FILE); or set "
            "labels='red' of the data set"
        )
    else:
        way_out = (
            "write class indices into one channel instead of colours; or set labels='colors' or "
            "'red' of the data set"
        )
    return f"it has {len(bands)} channels ({', '.join(bands)}) instead of one; {way_out}"


def _bits_of_grey(image: Image.Image, data: bytes) -> int:
    """Read the bits per grey value of a file; Pillow scales fewer than 8 to 0-255."""
    if image.mode != "L":
        return 8
    if isinstance(image, TiffImageFile):
        return image.tag_v2[_BITS_PER_SAMPLE][0]
    return data[PNG_DEPTH] if is_png(data) else 8
