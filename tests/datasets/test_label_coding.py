"""Read label maps whose pixels are not class indices."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import FolderDataset
from mmseg.datasets.image_files import UnfitLabel
from mmseg.datasets.label_coding import LabelCoding
from mmseg.datasets.occurring_classes import check_occurring
from mmseg.utils import InputError
from tests.datasets.small_data import LABELLED, write_image, write_label, write_synthia_label

CLASSES = ["road", "tree", "sky"]
PALETTE = [[128, 64, 128], [0, 128, 0], [70, 130, 180]]
EXPECTED = np.array([[0, 1, 2, 255], [2, 2, 0, 1]], np.uint8)
COLORS = {0: (128, 64, 128), 1: (0, 128, 0), 2: (70, 130, 180), 255: (0, 0, 0)}
RGB = np.array([[COLORS[c] for c in row] for row in EXPECTED.tolist()], np.uint8)
IDS = np.vectorize({0: 7, 1: 21, 2: 23, 255: 0}.get)(EXPECTED).astype(np.uint8)
ID_MAP = {"labels": "red", "label_map": {"7": "road", "21": 1, "23": 2}, "ignore": [0]}
# A palette in the order sky, none, road, tree.
INDEX_OF = {2: 0, 255: 1, 0: 2, 1: 3}


def save_palette(path):
    image = Image.fromarray(np.vectorize(INDEX_OF.get)(EXPECTED).astype(np.uint8))
    image.putpalette([value for c in (2, 255, 0, 1) for value in COLORS[c]])
    image.save(path)


def save_red(path, mode="RGB"):
    pixels = np.full((*EXPECTED.shape, len(mode)), 90, np.uint8)
    pixels[..., 0] = IDS
    Image.fromarray(pixels, mode).save(path)


FORMATS = {
    "colours": ({"labels": "colors", "ignore": ["0 0 0"]}, lambda p: Image.fromarray(RGB).save(p)),
    "colours with alpha": (
        {"labels": "colors", "ignore": [[0, 0, 0]]},
        lambda p: Image.fromarray(RGB).convert("RGBA").save(p),
    ),
    "colours of a palette": ({"labels": "colors", "ignore": ["0,0,0"]}, save_palette),
    "a map of colours": (
        {
            "labels": "colors",
            "label_map": {"(128, 64, 128)": 0, "0 128 0": "tree", "70,130,180": 2, "0 0 0": 255},
        },
        lambda p: Image.fromarray(RGB).save(p),
    ),
    "indices of a palette": (
        {"label_map": {"0": "sky", "2": "road", "3": "tree"}, "ignore": [1]},
        save_palette,
    ),
    "red": (ID_MAP, save_red),
    "red of four channels": (ID_MAP, lambda p: save_red(p, "RGBA")),
    "equal channels": (ID_MAP, lambda p: Image.fromarray(IDS).convert("RGB").save(p)),
    "red of 16 bits": (ID_MAP, lambda p: write_synthia_label(p, IDS)),
    "values": ({**ID_MAP, "labels": "indices"}, lambda p: write_label(p, IDS)),
}


def written(root, save, **coding) -> str:
    """Write an image, its label map and the file of classes."""
    write_image(root / "images/a.jpg", EXPECTED.shape, np.random.default_rng(0))
    (root / "labels").mkdir()
    save(root / "labels/a.png")
    content = {"classes": CLASSES, "palette": PALETTE, **coding}
    (root / "classes.json").write_text(json.dumps(content))
    return str(root)


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_read_as_the_same_classes(name, tmp_path):
    coding, save = FORMATS[name]
    save(tmp_path / "a.png")
    found = LabelCoding(CLASSES, PALETTE, **coding).read(str(tmp_path / "a.png"))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, EXPECTED)


@pytest.mark.parametrize("by", ["file", "arguments"])
def test_a_data_set_reads_classes(by, tmp_path):
    coding, save = FORMATS["red"]
    root = written(tmp_path, save, **(coding if by == "file" else {}))
    arguments = {"metainfo": {"classes": CLASSES}, **coding} if by == "arguments" else {}
    pipeline = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
    dataset = FolderDataset(root, LABELLED, pipeline=pipeline, **arguments)
    np.testing.assert_array_equal(dataset[0]["gt_seg_map"], EXPECTED)
    assert check_occurring(dataset) is None


def test_one_bit_maps_and_masks_of_255_have_two_classes(tmp_path):
    mask = np.array([[True, False, True]])
    for name, pixels, label_map in (
        ("bits.png", mask, None),
        ("mask.png", mask * np.uint8(255), {0: 0, 255: 1}),
    ):
        Image.fromarray(pixels).save(tmp_path / name)
        coding = LabelCoding(["rest", "crack"], label_map=label_map)
        assert coding.read(str(tmp_path / name)).tolist() == [[1, 0, 1]]


def test_arguments_replace_the_coding_of_the_file(tmp_path):
    root = written(tmp_path, lambda path: write_label(path, EXPECTED), **ID_MAP)
    dataset = FolderDataset(root, LABELLED, labels="indices")
    assert dataset.label_coding is None
    assert "label_coding" not in dataset.get_data_info(0)


@pytest.mark.parametrize(
    ("coding", "save", "message"),
    [
        (
            {"labels": "red", "label_map": {7: 0, 0: 1}},
            save_red,
            "a.png holds the values 21, 23, which no class has: extend label_map or ignore",
        ),
        (
            {"labels": "colors"},
            lambda p: Image.fromarray(RGB).save(p),
            "a.png holds the colour (0, 0, 0), which no class has: extend palette, label_map",
        ),
        ({"labels": "red"}, lambda p: write_label(p, IDS), "a.png is not a label map: it has one"),
        (
            {"labels": "colors"},
            lambda p: write_synthia_label(p, IDS),
            "its colours have not 8 bits a channel; save it as 8-bit PNG",
        ),
        (
            {"labels": "colors"},
            lambda p: Image.fromarray(RGB).save(p, "JPEG"),
            "JPEG changes the values of pixels",
        ),
        (
            {"labels": "red"},
            lambda p: write_synthia_label(p, IDS.astype(int) * 20),
            "it holds the value 420;",
        ),
    ],
)
def test_unknown_values_and_other_files_are_refused(coding, save, message, tmp_path):
    save(tmp_path / "a.png")
    with pytest.raises(UnfitLabel) as error:
        LabelCoding(CLASSES, PALETTE, **coding).read(str(tmp_path / "a.png"))
    assert message in str(error.value)


def test_of_many_unknown_colours_the_most_frequent_are_named(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9, 3), dtype=np.uint8)
    pixels[0] = (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(UnfitLabel, match=r"colours \(1, 2, 3\), .* and 20 more, which"):
        LabelCoding(CLASSES, PALETTE, "colors").read(str(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("coding", "message"),
    [
        ({"labels": "blue"}, "labels is 'blue': choose from indices, colors, red"),
        ({"label_map": {"7": "rode"}}, "label_map gives the class 'rode': give a name of a class"),
        ({"label_map": {"7": 3}}, "label_map gives the class 3: give a name of a class, or an ind"),
        ({"label_map": {"1 2 3": 0}}, "'1 2 3' in label_map or ignore is not a value, 0 to 255"),
        ({"label_map": {"256": 0}}, "'256' in label_map or ignore is not a value, 0 to 255"),
        ({"labels": "colors", "ignore": [7]}, "7 in label_map or ignore is not a colour"),
        ({"ignore": [2]}, "ignore has 2, which is the value of a class: remove one"),
        ({"label_map": [1]}, "label_map is [1], but it takes a dict"),
        ({"ignore": "0"}, "ignore is '0', but it takes a list"),
        (
            {"labels": "colors", "palette": [[1, 1, 1]] * 3},
            "gives two classes the colour (1, 1, 1)",
        ),
    ],
)
def test_wrong_codings_are_refused_by_the_name_of_the_file(coding, message, tmp_path):
    root = written(tmp_path, save_red, **coding)
    with pytest.raises(InputError) as error:
        FolderDataset(root, LABELLED)
    assert str(error.value).startswith(f"{root}/classes.json: ")
    assert message in str(error.value)


def test_tables_of_colours_are_not_sent_to_workers(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    coding = LabelCoding(CLASSES, PALETTE, "colors", ignore=["0 0 0"])
    coding.read(str(tmp_path / "a.png"))
    sent = pickle.dumps(coding)
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).read(str(tmp_path / "a.png")), EXPECTED)
