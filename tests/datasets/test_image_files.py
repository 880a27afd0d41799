"""Test reading images and label maps: each row of the two tables in docs/data.md."""

import io
import os
import socket
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg.datasets.image_files import UnfitLabel, image_size, read_image, read_label
from mmseg.utils import InputError
from tests.datasets.small_data import png_chunk

RNG = np.random.default_rng(0)
SMOOTH = cv2.resize(RNG.integers(0, 256, (3, 4, 3), dtype=np.uint8), (32, 24))  # RGB
SMOOTH[:, 16:] = cv2.normalize(SMOOTH[:, 16:], None, 0, 255, cv2.NORM_MINMAX)
PHOTO = Image.fromarray(SMOOTH)


def values(bits: int) -> np.ndarray:
    """Return all values of ``bits`` bits in 5 rows of odd width, so that rows end within a byte."""
    return (np.arange(5 * 53).reshape(5, 53) % 2**bits).astype(np.uint8)


def packed(label: np.ndarray, bits: int) -> np.ndarray:
    """Pack rows with ``bits`` bits per value; pad each row to whole bytes."""
    each = np.unpackbits(label[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(each.reshape(len(label), -1), axis=1)


def png(label: np.ndarray, bits: int, colour_type: int) -> bytes:
    """Build a PNG from its specification: Pillow cannot write grey with 2 or 4 bits."""
    height, width = label.shape
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in packed(label, bits))
    palette = png_chunk(b"PLTE", bytes(range(200, 200 - 3 * 2**bits, -1))) if colour_type else b""
    body = palette + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body


def tiff(label: np.ndarray, bits: int, photometric: int = 1) -> bytes:
    """Build a TIFF with one strip from its specification; photometric 0 means 0 is white."""
    strip, (height, width) = packed(label, bits).tobytes(), label.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1}
    tags |= {278: height, 279: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory


def saved(image: Image.Image, fmt: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def palette_image(label: np.ndarray) -> Image.Image:
    image = Image.fromarray(label)
    image.putpalette([(37 * i) % 256 for i in range(768)])
    return image


def turned(image: Image.Image, fmt: str, orientation: int = 6, **options) -> bytes:
    exif = image.getexif()
    exif[0x0112] = orientation
    return saved(image, fmt, exif=exif, **options)


def interlaced(label: np.ndarray) -> bytes:
    """Build an interlaced PNG (the specification's seven passes), which OpenCV cannot write."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, right in [*passes, (1, 0, 2, 1)]
        for row in label[top::down, left::right]
        if row.size
    )
    header = struct.pack(">IIBBBBB", *label.shape[::-1], 8, 0, 0, 0, 1)
    body = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body


DEEP = Image.fromarray(values(8).astype(np.uint16))
STORED = {
    **{f"png grey {bits}": (png(values(bits), bits, 0), values(bits)) for bits in (1, 2, 4, 8)},
    **{f"png palette {bits}": (png(values(bits), bits, 3), values(bits)) for bits in (1, 2, 4)},
    "png palette 8": (saved(palette_image(values(8)), "PNG"), values(8)),
    "png boolean": (saved(Image.fromarray(values(1).astype(bool)), "PNG"), values(1)),
    "png transparent": (saved(palette_image(values(4)), "PNG", transparency=3), values(4)),
    "png interlaced": (interlaced(values(8)), values(8)),
    "png 16": (saved(DEEP, "PNG"), values(8)),
    **{f"tiff grey {bits}": (tiff(values(bits), bits), values(bits)) for bits in (1, 2, 4, 8)},
    "tiff palette": (saved(palette_image(values(8)), "TIFF"), values(8)),
    "tiff compressed": (
        saved(Image.fromarray(values(8)), "TIFF", compression="tiff_lzw"),
        values(8),
    ),
    "tiff 16": (saved(DEEP, "TIFF"), values(8)),
    "tiff 32": (saved(Image.fromarray(values(8).astype(np.int32)), "TIFF"), values(8)),
    "bmp grey 1": (saved(Image.fromarray(values(1).astype(bool)), "BMP"), values(1)),
    "bmp grey 8": (saved(Image.fromarray(values(8)), "BMP"), values(8)),
    "bmp palette": (saved(palette_image(values(8)), "BMP"), values(8)),
    **{
        f"{fmt} turned": (turned(Image.fromarray(values(8)), fmt), np.rot90(values(8), -1))
        for fmt in ("PNG", "TIFF")
    },
    "png mirrored": (turned(Image.fromarray(values(8)), "PNG", 2), values(8)[:, ::-1]),
}


@pytest.mark.parametrize("kind", STORED)
def test_label_maps_are_read_as_stored(kind, tmp_path):
    data, expected = STORED[kind]
    (tmp_path / "a").write_bytes(data)
    label = read_label(str(tmp_path / "a"))
    assert label.dtype == np.uint8 and label.tolist() == expected.tolist()
    assert label.flags["C_CONTIGUOUS"] and label.flags["WRITEABLE"]


GREY = Image.fromarray(values(4))
FLAT = Image.merge("RGB", [GREY] * 3)
REFUSED = {
    "RGB of equal channels": (saved(FLAT, "PNG"), r"3 channels \(R, G, B\).* save the first alone"),
    "RGB of colours": (saved(PHOTO, "PNG"), "write class indices into one channel instead of col"),
    "RGBA": (saved(FLAT.convert("RGBA"), "PNG"), "4 channels .* save the first alone"),
    "LA": (saved(GREY.convert("LA"), "PNG"), r"2 channels \(L, A\).* save the first alone"),
    "jpeg": (saved(GREY, "JPEG"), "JPEG changes the values of pixels; export it as PNG"),
    "jpeg in tiff": (saved(GREY, "TIFF", compression="jpeg"), "JPEG changes the values"),
    "webp": (saved(GREY, "WEBP", lossless=True), "it is a WEBP file; save it as PNG"),
    "gif": (saved(GREY, "GIF"), "it is a GIF file; save it as PNG"),
    "pgm": (saved(GREY, "PPM"), "it is a PPM file; save it as PNG"),
    "pages": (saved(GREY, "TIFF", save_all=True, append_images=[GREY]), "several pages or frames"),
    "frames": (saved(GREY, "PNG", save_all=True, append_images=[DEEP.convert("L")]), "several pag"),
    "float": (saved(Image.fromarray(values(4).astype(np.float32)), "TIFF"), "are not integers"),
    "white is 0": (tiff(values(8), 8, 0), "a TIFF that counts from white; save it as PNG"),
    "16 bits above 255": (
        saved(Image.fromarray(values(8).astype(np.uint16) * 7), "PNG"),
        "holds the value 259; class indices go from 0 to 254, and 255 means no class",
    ),
    "below 0": (saved(Image.fromarray(-values(8).astype(np.int32)), "TIFF"), "the value -255;"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_files_are_refused_in_one_line(kind, tmp_path):
    data, message = REFUSED[kind]
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(UnfitLabel, match=f"/a is not a label map: .*{message}") as error:
        read_label(str(tmp_path / "a"))
    assert "\n" not in str(error.value)


def netpbm(maximum: int, dtype: str) -> bytes:
    scaled = np.round(SMOOTH / 255 * maximum).astype(dtype)
    return b"P6\n# made by a camera\n32 24\n%d\n" % maximum + scaled.tobytes()


def opencv(pixels: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


DEEP_PHOTO = SMOOTH[..., ::-1].astype(np.uint16) * 257
TWO = {"save_all": True, "append_images": [PHOTO.rotate(180)]}
SHOWN = {  # file: what it shows (RGB), tolerance of the values
    "png": (saved(PHOTO, "PNG"), SMOOTH, 0),
    "tiff": (saved(PHOTO, "TIFF"), SMOOTH, 0),
    "bmp": (saved(PHOTO, "BMP"), SMOOTH, 0),
    "webp": (saved(PHOTO, "WEBP", lossless=True), SMOOTH, 0),
    "ppm": (saved(PHOTO, "PPM"), SMOOTH, 0),
    "ppm of 4 bits": (netpbm(15, "u1"), SMOOTH, 9),
    "ppm of 12 bits": (netpbm(4095, ">u2"), SMOOTH, 1),
    "jpeg": (saved(PHOTO, "JPEG", quality=100, subsampling=0), SMOOTH, 4),
    "jpeg progressive": (
        saved(PHOTO, "JPEG", quality=100, subsampling=0, progressive=True),
        SMOOTH,
        4,
    ),
    "jpeg CMYK": (saved(PHOTO.convert("CMYK"), "JPEG", quality=100), SMOOTH, 9),
    "grey png": (saved(PHOTO.convert("L"), "PNG"), PHOTO.convert("L"), 0),
    "grey jpeg": (saved(PHOTO.convert("L"), "JPEG", quality=100), PHOTO.convert("L"), 4),
    "one bit": (saved(PHOTO.convert("1"), "PNG"), PHOTO.convert("1"), 0),
    "palette": (saved(PHOTO.quantize(9), "PNG"), PHOTO.quantize(9).convert("RGB"), 0),
    "RGBA": (saved(PHOTO.convert("RGBA"), "PNG"), SMOOTH, 0),
    "RGB and infrared": (opencv(np.dstack([SMOOTH[..., ::-1], SMOOTH[..., 0]]), ".tif"), SMOOTH, 0),
    "16 bits png": (opencv(DEEP_PHOTO, ".png"), SMOOTH, 0),
    "16 bits tiff": (opencv(DEEP_PHOTO, ".tif"), SMOOTH, 0),
    "interlaced": (interlaced(values(8)), values(8), 0),
    "pages": (saved(PHOTO, "TIFF", **TWO), SMOOTH, 0),
    "frames of png": (saved(PHOTO, "PNG", **TWO), SMOOTH, 0),
    "frames of webp": (saved(PHOTO, "WEBP", lossless=True, **TWO), SMOOTH, 0),
    **{
        f"turned {fmt}": (turned(PHOTO, fmt, **options), np.rot90(SMOOTH, -1), tolerance)
        for fmt, options, tolerance in (
            ("PNG", {}, 0),
            ("TIFF", {}, 0),
            ("WEBP", {"lossless": True}, 0),
            ("JPEG", {"quality": 100, "subsampling": 0}, 4),
        )
    },
    "turned grey png": (turned(PHOTO.convert("LA"), "PNG", 8), np.rot90(PHOTO.convert("L")), 0),
    "mirrored jpeg": (turned(PHOTO, "JPEG", 2, quality=100, subsampling=0), SMOOTH[:, ::-1], 4),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_images_are_read_as_shown(kind, tmp_path):
    data, shown, tolerance = SHOWN[kind]
    path = tmp_path / "a"
    path.write_bytes(data)
    expected = np.asarray(Image.fromarray(np.asarray(shown)).convert("RGB")).astype(int)
    image = read_image(str(path))
    assert image.dtype == np.uint8 and image.shape == expected.shape
    assert np.abs(image[..., ::-1] - expected).max() <= tolerance
    assert image_size(str(path)) == image.shape[1::-1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (opencv(DEEP_PHOTO >> 4, ".png"), "16 bits a channel but no value above 4095, so .* black"),
        (opencv(DEEP_PHOTO >> 2, ".tif"), "no value above 16383"),
        (opencv(DEEP_PHOTO.max(axis=-1) >> 6, ".tif"), "no value above 1023"),
        (opencv(SMOOTH.astype(np.float32), ".tif"), "float32 values: save it with 8 bits a chan"),
        (opencv(SMOOTH.astype(np.int32), ".tif"), "int32 values: save it with 8 bits a channel"),
    ],
)
def test_images_that_would_turn_black_are_refused(data, message, tmp_path):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(InputError, match=f"/a h(as|olds) .*{message}"):
        read_image(str(tmp_path / "a"))


def test_a_black_image_of_16_bits_is_black(tmp_path):
    (tmp_path / "a").write_bytes(opencv(DEEP_PHOTO * 0, ".png"))
    assert read_image(str(tmp_path / "a")).tolist() == np.zeros((24, 32, 3)).tolist()


@pytest.mark.parametrize("read", [read_image, read_label, image_size])
def test_pipes_sockets_devices_and_folders_are_refused(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path in (*tmp_path.iterdir(), "/dev/zero"):
            with pytest.raises(InputError, match=f"{path} cannot be read: it is not a regul"):
                read(str(path))


def bomb(suffix: str) -> bytes:
    """Return a small file that declares 16385 x 16384 pixels, one column above the limit."""
    size = struct.pack(">II", 2**14 + 1, 2**14)
    if suffix == ".png":
        data = bytearray(png(values(8), 8, 0))
        data[16:24] = size
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    else:
        data = bytearray(saved(GREY, "BMP"))
        data[18:26] = size[3::-1] + size[:3:-1]
    return bytes(data)


@pytest.mark.parametrize("read", [read_image, read_label, image_size])
@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_images_beyond_the_limit_are_not_decoded(read, suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(bomb(suffix))
    with pytest.raises(InputError, match=f"a{suffix} has more pixels than the limit of 268435456"):
        read(str(path))


def test_large_label_maps_are_counted_exactly(tmp_path):
    from mmseg.datasets.image_files import count_values

    label = np.zeros((4200, 4001), np.uint8)  # more than 2**24 pixels
    label[0, 0] = 255
    counts = count_values(label)
    assert counts[0] == 4200 * 4001 - 1 and counts[255] == 1 and counts.sum() == label.size
