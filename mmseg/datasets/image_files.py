"""Reading images and label maps: what is accepted stands in a table of data/README.md."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps

from mmseg.utils import InputError

from .file_checks import (
    GREY,
    PALETTE,
    RGB,
    check_regular,
    check_whole,
    chunks_before_pixels,
    decode_plain_png,
    is_png,
    open_head,
    png_depth,
    read_whole,
    undecodable,
)

# Of the images that people have; cameras write them in capitals too.
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# What OpenCV complains about on stderr is said once, by an InputError.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_LABEL_FORMATS = ("PNG", "TIFF", "BMP")
_LOSSY = ("JPEG", "MPO", "JPEG2000")  # as Pillow calls them; MPO is JPEG of several pictures
_PHOTOMETRIC, _WHITE_IS_ZERO, _BITS_PER_SAMPLE = 262, 0, 258  # tags and a value of TIFF
_NETPBM_MAGIC = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
# Cameras and satellites give 10 to 14 bits; what uses more of 16 bits is scaled to all of them.
_SMALLEST_16_BIT_MAXIMUM = 2**14


class UnfitLabel(InputError):
    """A sound file that is no label map, or holds values that mean nothing.

    Args:
        message: names the file.
        fault: what is wrong and what to do, the same for all files with this fault.
        values: the values that mean nothing.
    """

    # A data loader worker's error is made again from its message alone.
    def __init__(self, message: str, fault: str = "", values: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.fault, self.values = fault, values


def read_image(path: str) -> np.ndarray:
    """Decode an image file to (H, W, 3) uint8, BGR, turned as its EXIF data says.

    Grey images get three equal channels; an alpha channel is left out; of several pages or frames
    the first is read; 16 bits a channel become 8.

    Raises:
        InputError: if the file is missing, damaged, too large or no regular file, or its values are
            of a kind that would be shown nearly black.
    """
    data = read_whole(path)
    image = decode_plain_png(data, (RGB,), "rgb")
    if image is not None:
        return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if data.startswith(_NETPBM_MAGIC):
        image = _decode_netpbm(data, path)
        if image is not None:
            return image
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    if is_png(data) and b"eXIf" not in chunks_before_pixels(data):
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    return _in_8_bits(_decode(data, flags, path), path)


def read_16_bit_image(path: str) -> np.ndarray:
    """Decode an image of three 16-bit channels to (H, W, 3) uint16; the file's first comes last.

    Raises:
        InputError: if the file is missing, damaged or of another kind.
    """
    image = _decode(read_whole(path), cv2.IMREAD_UNCHANGED, path)
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"{path} has {image.dtype} values of shape {image.shape}: "
            "expected three 16-bit channels"
        )
    return image


def read_label(path: str) -> np.ndarray:
    """Decode a label map to its stored values, (H, W) uint8; of a palette image, the indices.

    Raises:
        UnfitLabel: if the file is no PNG, TIFF or BMP of one channel with values up to 255.
        InputError: if the file is missing, damaged, too large or no regular file.
    """
    return decode_label(read_whole(path), path)


def decode_label(data: bytes, path: str) -> np.ndarray:
    """As :func:`read_label`, of the content of the file ``path``."""
    check_whole(data, path)
    label = decode_plain_png(data, (GREY, PALETTE), "mono")
    if label is not None:
        return label[..., 0]
    with open_head(io.BytesIO(data), path) as image:
        _check_label_format(image, path)
        bits = _bits_of_grey(image, data)
        try:
            upright = ImageOps.exif_transpose(image) if _orientation(image) > 1 else image
            values = np.array(upright)
        # Pillow raises whatever a damaged file leads its plugins to.
        except Exception as error:
            raise undecodable(path) from error
    if values.dtype == bool:
        return values.astype(np.uint8)
    if bits < 8:
        values //= 255 // (2**bits - 1)  # Pillow has stretched them to 0-255
    if values.dtype != np.uint8:
        strange = np.unique(values[(values < 0) | (values > 255)]).tolist()
        if strange:
            fault = "class indices go from 0 to 254, and 255 is no class; write these instead"
            message = f"{path} is no label map: it holds the value {strange[0]}; {fault}"
            raise UnfitLabel(message, fault, strange)
    return values.astype(np.uint8, copy=False)


def image_size(path: str) -> tuple[int, int]:
    """Width and height, from the head of an image file, of what :func:`read_image` returns.

    Raises:
        InputError: if the file is missing, too large or no image.
    """
    return size_and_orientation(path)[0]


def size_and_orientation(path: str) -> tuple[tuple[int, int], int]:
    """:func:`image_size`, and how EXIF data turn the image: 1 (not at all) to 8."""
    check_regular(path)
    with open_head(path, path) as image:
        orientation = _orientation(image)
        # Pillow gives the size of a TIFF as it is when turned.
        is_swapped = image.format != "TIFF" and orientation >= 5
        return image.size[::-1] if is_swapped else image.size, orientation


def count_values(label: np.ndarray) -> np.ndarray:
    """How often each value occurs in ``label`` (H, W) uint8, which may be a view: (256,) int64."""
    # Three times as fast as np.bincount, which works on an int64 copy; the float32 counts of
    # OpenCV are exact up to 2**24 pixels.
    rows = max(2**24 // max(label.shape[1], 1), 1)
    parts = (label[top : top + rows] for top in range(0, label.shape[0], rows))
    counts = [cv2.calcHist([part], [0], None, [256], [0, 256]).ravel() for part in parts]
    return np.sum(counts, axis=0, dtype=np.int64)


def _decode(data: bytes, flags: int, path: str) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # of an image beyond OpenCV's limits
        image = None
    if image is None:
        raise undecodable(path)
    return image


def _in_8_bits(image: np.ndarray, path: str) -> np.ndarray:
    """Scale the values of 16 bits; refuse those that only use the lower ones."""
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
    """Decode what Pillow scales by the largest value that the file declares; OpenCV does not."""
    with open_head(io.BytesIO(data), path) as image:
        if image.mode not in ("1", "L", "RGB"):
            return None
        try:
            return np.array(image.convert("RGB"))[..., ::-1].copy()
        except (OSError, ValueError) as error:
            raise undecodable(path) from error


def _orientation(image: Image.Image) -> int:
    """How EXIF data turn an image: 1 (not at all) to 8; from 5 on, width and height change."""
    if image.format == "TIFF":
        return image.tag_v2.get(ExifTags.Base.Orientation, 1)
    exif = Image.Exif()
    exif.load(image.info.get("exif") or b"")
    return exif.get(ExifTags.Base.Orientation, 1)


def _check_label_format(image: Image.Image, path: str) -> None:
    fault = _label_fault(image, path)
    if fault is not None:
        raise UnfitLabel(f"{path} is no label map: {fault}", fault)


def _label_fault(image: Image.Image, path: str) -> str | None:
    """Why an image cannot be a label map, and what to do; None if it can."""
    if image.format in _LOSSY or image.info.get("compression") in ("jpeg", "webp"):
        return "JPEG changes the values of pixels; export it as PNG where it was drawn"
    if image.format not in _LABEL_FORMATS:
        return f"it is a {image.format} file; save it as PNG"
    if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return "it is a TIFF that counts from white; save it as PNG"
    if getattr(image, "n_frames", 1) > 1:
        return "it has several pages or frames; save the right one as PNG"
    if image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;"):
        return None
    bands = image.getbands()
    if len(bands) == 1:
        return "its values are no integers; save them as 8-bit PNG"
    try:
        first, *others = (image.getchannel(name).tobytes() for name in bands if name != "A")
    # Pillow raises whatever a damaged file leads its plugins to.
    except Exception as error:
        raise undecodable(path) from error
    if all(other == first for other in others):
        way_out = "save the first alone, with Pillow: Image.open(FILE).getchannel(0).save(FILE)"
    else:
        way_out = "write class indices into one channel instead of colours"
    return f"it has {len(bands)} channels ({', '.join(bands)}) instead of one; {way_out}"


def _bits_of_grey(image: Image.Image, data: bytes) -> int:
    """Bits of a grey value in the file, where Pillow stretches fewer than 8 to 0-255."""
    if image.mode != "L":
        return 8
    return image.tag_v2[_BITS_PER_SAMPLE][0] if image.format == "TIFF" else png_depth(data)
