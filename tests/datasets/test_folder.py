"""Test a user's own data: any classes and any image format."""

import json

import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import BaseSegDataset, FolderDataset
from mmseg.datasets.class_names import distinct_palette
from mmseg.utils import InputError
from tests.datasets.small_data import LABELLED, write_image, write_label, write_palette_label

PIPELINE = [
    {"type": "LoadImageFromFile"},
    {"type": "LoadAnnotations"},
    {"type": "PackSegInputs"},
]
IMAGES = ("a.jpg", "b/c.PNG", "b/d.tif", "b/e.v1.bmp", "b/f.webp")
CLASSES = {"classes": ["ground", "tree"], "palette": [[9, 8, 7], [0, 255, 0]]}


@pytest.fixture
def mine(tmp_path):
    """Write five images in five formats, greyscale and palette label maps, and two classes."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(IMAGES):
        write_image(tmp_path / "images" / name, (6, 8), rng)
        write = write_palette_label if i % 2 else write_label
        write(tmp_path / "labels" / f"{name.rpartition('.')[0]}.png", np.full((6, 8), i % 2))
    (tmp_path / "classes.json").write_text(json.dumps(CLASSES))
    return tmp_path


def test_images_of_all_formats_with_their_labels(mine):
    dataset = FolderDataset(str(mine), LABELLED, pipeline=PIPELINE)
    assert dataset.metainfo == CLASSES
    samples = [dataset[i]["data_samples"] for i in range(len(dataset))]
    assert [sample.img_path for sample in samples] == [f"{mine}/images/{name}" for name in IMAGES]
    assert [s.gt_sem_seg.data.unique().tolist() for s in samples] == [[0], [1], [0], [1], [0]]


def test_unlabelled_images_need_no_classes(mine):
    (mine / "classes.json").unlink()
    dataset = FolderDataset(str(mine), {"img_path": "images"})
    assert len(dataset) == 5
    assert dataset.metainfo == {}


def test_arguments_override_the_file_of_classes(mine):
    (mine / "classes.json").write_text("nonsense")
    dataset = FolderDataset(str(mine), LABELLED, metainfo={"classes": ("x", "y", "z")})
    assert dataset.metainfo == {"classes": ("x", "y", "z"), "palette": distinct_palette(3)}
    other = {"classes": ["u", "v"]}
    (mine / "other.json").write_text(json.dumps(other))
    dataset = FolderDataset(str(mine), LABELLED, classes_file="other.json", img_suffix=".jpg")
    assert dataset.metainfo == {**other, "palette": distinct_palette(2)}
    assert len(dataset) == 1


def test_a_list_names_images_with_and_without_suffix(mine):
    (mine / "some.txt").write_text("b/c.PNG\nb/e.v1\n")
    dataset = FolderDataset(str(mine), LABELLED, ann_file="some.txt")
    assert [dataset.get_data_info(i)["img_path"] for i in range(2)] == [
        f"{mine}/images/b/c.PNG",
        f"{mine}/images/b/e.v1.bmp",
    ]


def test_two_images_with_one_name_are_refused(mine):
    write_image(mine / "images/b/c.jpg", (6, 8), np.random.default_rng(0))
    with pytest.raises(InputError, match=r"b/c\.PNG and b/c\.jpg, two images of one name"):
        FolderDataset(str(mine), LABELLED)
    assert len(FolderDataset(str(mine), LABELLED, img_suffix=[".jpg", ".tif"])) == 3


def test_a_label_beyond_the_classes_is_refused(mine):
    write_label(mine / "labels/a.png", np.full((6, 8), 2))
    with pytest.raises(InputError, match=r"a\.png holds the value 2, but there are 2 classes"):
        FolderDataset(str(mine), LABELLED, pipeline=PIPELINE)[0]


def test_a_rotated_photo_is_turned_and_fits_its_label(mine):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 8)).save(mine / "images/a.jpg", exif=exif)
    sample = FolderDataset(str(mine), LABELLED, pipeline=PIPELINE)[0]
    assert sample["inputs"].shape == (3, 6, 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"classes\.json is missing, the names of the classes: write"),
        ("{", r"classes\.json cannot be read"),
        ('["a"]', r"classes\.json is not a file of classes: expected"),
        ('{"classes": ["a"], "colors": []}', "is not a file of classes"),
        ('{"classes": ["a", "a"]}', r"classes\.json: classes must be 1 to 255 different names"),
        ('{"classes": "ab"}', "classes must be 1 to 255 different names"),
        ('{"classes": []}', "classes must be 1 to 255 different names"),
        ('{"classes": ["a"], "palette": null}', "the palette has 0 colours for 1 classes"),
        ('{"classes": ["a"], "palette": [[0, 0, 256]]}', r"\[0, 0, 256\] in the palette is no"),
        ('{"classes": ["a"], "palette": ["red"]}', "'red' in the palette is not a colour"),
    ],
)
def test_bad_files_of_classes_are_refused(mine, content, message):
    (mine / "classes.json").unlink()
    if content is not None:
        (mine / "classes.json").write_text(content)
    with pytest.raises(InputError, match=message):
        FolderDataset(str(mine), LABELLED)


def test_a_missing_data_root_is_reported_first(tmp_path):
    with pytest.raises(InputError, match="data root .* does not exist"):
        FolderDataset(str(tmp_path / "none"), LABELLED)


def test_labels_can_hold_255_classes(mine):
    names = [f"class {i}" for i in range(255)]
    metainfo = FolderDataset(str(mine), LABELLED, metainfo={"classes": names}).metainfo
    assert len({tuple(colour) for colour in metainfo["palette"]}) == 255
    with pytest.raises(InputError, match="1 to 255 different names"):
        BaseSegDataset(str(mine), LABELLED, metainfo={"classes": [*names, "one more"]})
