"""Test loading, cropping and packing."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose, RandomFlip, Resize
from PIL import Image

from mmseg.datasets import (
    LoadAnnotations,
    LoadImageFromFile,
    PackSegInputs,
    RandomCrop,
)
from mmseg.datasets.image_files import count_values, read_image, read_label
from mmseg.datasets.transforms import IgnoreMargins
from mmseg.datasets.transforms.crop import is_balanced
from mmseg.utils import InputError
from tests.datasets.small_data import cut, write_image, write_palette_label


def _crop(label: np.ndarray, size: tuple[int, int], **results) -> np.ndarray:
    image = np.zeros((*label.shape, 3), np.uint8)
    return RandomCrop(size).transform({"img": image, "gt_seg_map": label, **results})["gt_seg_map"]


def _load_label(path, shape: tuple[int, int], num_classes: int = 19) -> dict:
    results = {"seg_map_path": str(path), "img_path": "image.png", "ori_shape": shape}
    return LoadAnnotations().transform({**results, "num_classes": num_classes})


def test_image_is_bgr(tmp_path):
    Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)).save(tmp_path / "a.png")
    results = LoadImageFromFile().transform({"img_path": str(tmp_path / "a.png")})
    assert results["img"].tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert results["img_shape"] == results["ori_shape"] == (1, 2)


def _with_chunk(path, name: bytes, content: bytes) -> None:
    """Insert a chunk after the header of a PNG."""
    data, header_size = path.read_bytes(), 33
    checksum = struct.pack(">I", zlib.crc32(name + content))
    chunk = struct.pack(">I", len(content)) + name + content + checksum
    path.write_bytes(data[:header_size] + chunk + data[header_size:])


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_plain_pngs_are_decoded_by_the_fast_decoder(mode, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 250, (23, 37, 3), dtype=np.uint8)
    if mode == "RGB":
        Image.fromarray(pixels).save(path)
        expected = cv2.imread(str(path))
    else:
        expected = pixels[..., 0]
        Image.fromarray(expected).save(path) if mode == "L" else write_palette_label(path, expected)
    monkeypatch.setattr(cv2, "imdecode", None)
    monkeypatch.setattr(Image, "open", None)
    found = (read_image if mode == "RGB" else read_label)(str(path))
    assert (found == expected).all() and found.shape == expected.shape
    assert found.flags["C_CONTIGUOUS"] and found.flags["WRITEABLE"]


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGBA", "I;16"])
def test_other_pngs_are_decoded_as_by_opencv(mode, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    picture = deep if mode == "I;16" else picture.convert(mode)
    picture.save(tmp_path / "a.png")
    expected = cv2.imread(str(tmp_path / "a.png"))
    assert (read_image(str(tmp_path / "a.png")) == expected).all()


def test_a_rotated_png_is_turned(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, (4, 6), np.random.default_rng(0))
    upright = read_image(str(path))
    orientation = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    _with_chunk(path, b"eXIf", orientation)
    assert (read_image(str(path)) == np.rot90(upright, -1)).all()


def test_a_png_without_a_header_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB`\x82")
    for read in (read_image, read_label):
        with pytest.raises(InputError, match=r"a\.png cannot be decoded"):
            read(str(tmp_path / "a.png"))


def test_label_values_are_kept(tmp_path):
    label = np.array([[0, 18, 255], [7, 3, 1]], np.uint8)
    Image.fromarray(label).save(tmp_path / "grey.png")
    write_palette_label(tmp_path / "palette.png", label)
    for name in ("grey.png", "palette.png"):
        loaded = _load_label(tmp_path / name, (2, 3))["gt_seg_map"]
        assert loaded.dtype == np.uint8
        assert (loaded == label).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("keep", [0.5, -20])
def test_truncated_image_is_named(tmp_path, suffix, keep):
    path = tmp_path / f"a{suffix}"
    write_image(path, (40, 60), np.random.default_rng(0))
    cut(path, int(path.stat().st_size * keep) if keep > 0 else keep)
    with pytest.raises(InputError, match=f"a{suffix} is truncated"):
        LoadImageFromFile().transform({"img_path": str(path)})


def test_truncation_is_found_with_a_lenient_decoder(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(path)
    cut(path, -20)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((20, 30), np.uint8))
    with pytest.raises(InputError, match=r"a\.png is truncated"):
        _load_label(path, (20, 30))


def test_unreadable_images_are_named(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(InputError, match=r"a\.png cannot be read: No such file"):
        LoadImageFromFile().transform({"img_path": str(path)})
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png is empty"):
        LoadImageFromFile().transform({"img_path": str(path)})
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"a\.png cannot be decoded"):
        LoadImageFromFile().transform({"img_path": str(path)})


def test_damage_inside_a_png_is_named(tmp_path):
    for name, palette in (("grey.png", False), ("palette.png", True)):
        path = tmp_path / name
        label = np.random.default_rng(0).integers(0, 19, (64, 64), dtype=np.uint8)
        write_palette_label(path, label) if palette else Image.fromarray(label).save(path)
        content = bytearray(path.read_bytes())
        middle = content.index(b"IDAT") + 500
        content[middle : middle + 40] = bytes(40)
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name} cannot be decoded"):
            read_label(str(path))


def test_label_value_outside_the_classes_is_named(tmp_path):
    Image.fromarray(np.array([[0, 255, 19, 4]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png holds the value 19, but there are 19 classes"):
        _load_label(tmp_path / "a.png", (1, 4))
    assert _load_label(tmp_path / "a.png", (1, 4), num_classes=20)["gt_seg_map"][0, 2] == 19


def test_label_must_fit_the_image(tmp_path):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png is 6x4 pixels large, its image image\.png 8x4"):
        _load_label(tmp_path / "a.png", (4, 8))


def test_load_annotations_needs_labels():
    with pytest.raises(InputError, match="reads no labels"):
        LoadAnnotations().transform({"img_path": "a.png", "ori_shape": (4, 4)})


def test_counts_of_a_view():
    label = np.random.default_rng(0).integers(0, 256, (50, 70), dtype=np.uint8)
    view = label[3:40, 11:60]
    assert (count_values(view) == np.bincount(view.ravel(), minlength=256)).all()


def _draws_until_kept(label: np.ndarray, ratio: float = 0.75, **results) -> int:
    """Return the index of the drawn box that is kept, counted from 1."""
    places = np.arange(label.size).reshape(label.shape)
    results = {"img": np.stack([places] * 3, axis=-1), "gt_seg_map": label, **results}
    np.random.seed(0)
    kept = RandomCrop((4, 4), ratio).transform(results)["img"][0, 0, 0]
    np.random.seed(0)
    height, width = (side - 3 for side in label.shape)
    drawn = [places[np.random.randint(height), np.random.randint(width)] for _ in range(121)]
    assert len(set(drawn)) == len(drawn)
    return drawn.index(kept) + 1


def test_balanced_crops_are_below_the_ratio():
    assert is_balanced(np.array([29, 11, 0]), 0.75)
    assert not is_balanced(np.array([30, 10, 0]), 0.75)  # exactly the limit
    assert not is_balanced(np.array([4, 0, 0]), 1.0)
    assert not is_balanced(np.array([0, 0, 0]), 0.75)


def test_share_of_unbalanced_crops_is_that_of_eleven_draws():
    # Of 33 boxes, only those that start at columns 4 to 6 have 3 to 5 columns of class 1.
    label = np.zeros((8, 40), np.uint8)
    label[:, 9:] = 1
    np.random.seed(0)
    shares = [(_crop(label, (8, 8)) == 1).mean() for _ in range(4000)]
    unbalanced = np.mean([not 0.25 < share < 0.75 for share in shares])
    assert unbalanced == pytest.approx((30 / 33) ** 11, abs=0.015)  # 0.351; ten draws: 0.386


def test_rare_class_is_missed_as_often_as_in_eleven_draws():
    # Every box is balanced; only those at 5 of 33 columns contain all 32 pixels of class 2.
    label = np.tile(np.array([[0, 1]], np.uint8), (8, 20))
    label[:, 12:16] = 2
    wanted = {"rare_class": 2, "rare_class_min_pixels": 31}
    np.random.seed(0)
    missed = np.mean([(_crop(label, (8, 8), **wanted) == 2).sum() < 32 for _ in range(4000)])
    assert missed == pytest.approx((28 / 33) ** 11, abs=0.015)  # 0.164; ten draws: 0.193


def test_an_eleventh_box_is_taken_unchecked():
    one_class = np.zeros((999, 999), np.uint8)
    assert _draws_until_kept(one_class) == 11
    one_class[::2, ::2] = 255  # 255 is not a class
    assert _draws_until_kept(one_class) == 11
    mixed = np.tile(np.array([[0, 1]], np.uint8), (999, 500))
    assert _draws_until_kept(mixed) == 1


def test_each_box_drawn_for_a_rare_class_is_balanced():
    mixed = np.tile(np.array([[0, 1]], np.uint8), (999, 500))
    assert _draws_until_kept(mixed, rare_class=1, rare_class_min_pixels=7.5) == 1
    assert _draws_until_kept(mixed, rare_class=1, rare_class_min_pixels=8) == 11
    one_class = np.zeros((999, 999), np.uint8)
    assert _draws_until_kept(one_class, rare_class=1, rare_class_min_pixels=0) == 11 * 11


def test_with_a_ratio_of_one_any_box_is_taken():
    one_class = np.zeros((999, 999), np.uint8)
    assert _draws_until_kept(one_class, 1.0) == 1
    assert _draws_until_kept(one_class, 1.0, rare_class=1, rare_class_min_pixels=0) == 11


def test_a_crop_is_limited_to_the_image():
    label = np.tile(np.array([[0, 1]], np.uint8), (6, 10))
    results = {"img": np.zeros((6, 20, 3), np.uint8), "gt_seg_map": label}
    results = RandomCrop((8, 8)).transform(results)
    assert results["img"].shape == (6, 8, 3)
    assert results["gt_seg_map"].shape == results["img_shape"] == (6, 8)


def test_image_and_label_are_cropped_alike():
    label = np.arange(200, dtype=np.uint8).reshape(10, 20)
    results = {"img": np.stack([label] * 3, axis=-1), "gt_seg_map": label}
    results = RandomCrop((4, 6)).transform(results)
    assert (results["img"][..., 0] == results["gt_seg_map"]).all()


def test_crop_without_label():
    assert RandomCrop((4, 6)).transform({"img": np.zeros((9, 9, 3))})["img"].shape == (4, 6, 3)


def test_pack_copies_a_flipped_crop():
    whole = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    view, label = whole[2:5, 8:4:-1], whole[2:5, 8:4:-1, 0]
    packed = PackSegInputs().transform(
        {"img": view, "gt_seg_map": label, "img_path": "a.png", "img_shape": (3, 4), "flip": True}
    )
    inputs, sample = packed["inputs"], packed["data_samples"]
    assert inputs.shape == (3, 3, 4)
    assert (inputs.numpy() == view.transpose(2, 0, 1)).all()
    assert inputs.untyped_storage().nbytes() == 36
    assert sample.gt_sem_seg.data.shape == (1, 3, 4)
    assert (sample.gt_sem_seg.data[0].numpy() == label).all()
    assert sample.gt_sem_seg.data.untyped_storage().nbytes() == 12
    assert sample.metainfo == {"img_path": "a.png", "img_shape": (3, 4), "flip": True}


def test_pack_without_label():
    packed = PackSegInputs(meta_keys=["img_path"]).transform(
        {"img": np.zeros((2, 2, 3), np.uint8), "img_path": "a.png", "flip": False}
    )
    assert "gt_sem_seg" not in packed["data_samples"]
    assert packed["data_samples"].metainfo == {"img_path": "a.png"}


@pytest.mark.parametrize(
    ("scale", "crop", "direction"),
    [
        ((256, 128), 128, "horizontal"),
        ((200, 100), 64, "vertical"),
        ((333, 171), 80, "diagonal"),
        ((256, 128), 400, "horizontal"),  # no crop
        ((409, 204), 150, "horizontal"),
    ],
)
def test_ignored_margins_are_those_of_a_mask_of_the_image(scale, crop, direction):
    """A mask of 2048x1024, resized (nearest), cropped and flipped like the image, in 20 draws."""
    shape = (1024, 2048)
    image, mask = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    mask[30:-240, 30:-30] = 1
    pipeline = [
        Resize(scale, keep_ratio=True),
        RandomCrop((crop, crop), cat_max_ratio=1.0),
        RandomFlip(0.5, direction=direction),
        IgnoreMargins((30 / 1024, 240 / 1024, 30 / 2048, 30 / 2048)),
    ]
    np.random.seed(0)
    margins = set()
    for _ in range(20):
        results = Compose(pipeline)(
            {"img": image, "gt_seg_map": mask, "seg_fields": ["gt_seg_map"], "img_shape": shape}
        )
        top, bottom, left, right = results["ignored_margins"]
        expected = results["gt_seg_map"]
        height, width = expected.shape
        found = np.zeros_like(expected)
        found[top : height - bottom, left : width - right] = 1
        np.testing.assert_array_equal(found, expected)
        margins.add(results["ignored_margins"])
    assert len(margins) > 1


def test_ignored_margins_of_an_image_not_cropped_or_flipped():
    results = IgnoreMargins((0.1, 0.25, 0.0, 0.5)).transform({"img_shape": (20, 10)})
    assert results["ignored_margins"] == (2, 5, 0, 5)
    packed = PackSegInputs().transform(
        {"img": np.zeros((20, 10, 3), np.uint8), "img_path": "a", "ori_shape": (20, 10), **results}
    )
    assert packed["data_samples"].ignored_margins == (2, 5, 0, 5)
