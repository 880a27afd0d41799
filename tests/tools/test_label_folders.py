"""Find images and label maps in the layouts of known data sets."""

import pytest

from mmseg.utils import InputError
from tools.convert_datasets.label_folders import find_folders, labelled_folders

LAYOUTS = {
    "folders of splits below": (
        ["images/train/a.jpg", "images/val/b.jpg", "labels/train/a.png", "labels/val/b.png"],
        ("images/train", (), "labels/train", ".png"),
    ),
    "folders of splits above": (
        ["train/img/a.PNG", "train/mask/a.png", "val/img/b.PNG", "val/mask/b.png"],
        ("train/img", (), "train/mask", ".png"),
    ),
    "Cityscapes": (
        [
            "leftImg8bit/train/ulm/ulm_0_leftImg8bit.png",
            "leftImg8bit/train/bonn/bonn_1_leftImg8bit.png",
            *(
                f"gtFine/train/{name}_gtFine_{kind}.png"
                for name in ("ulm/ulm_0", "bonn/bonn_1")
                for kind in ("color", "instanceIds", "labelIds")
            ),
        ],
        ("leftImg8bit/train", ("_leftImg8bit.png",), "gtFine/train", "_gtFine_labelIds.png"),
    ),
    "CamVid": (
        ["train/0001_1.png", "train/0001_2.png", "train_labels/0001_1_L.png"]
        + ["train_labels/0001_2_L.png", "val/0002.png", "val_labels/0002_L.png"],
        ("train", (), "train_labels", "_L.png"),
    ),
    "SegNet's CamVid": (
        ["train/1.png", "trainannot/1.png", "test/2.png", "testannot/2.png"],
        ("train", (), "trainannot", ".png"),
    ),
    "one folder": (
        ["a.jpg", "a_mask.png", "b.jpg", "b_mask.png"],
        ("", (".jpg",), "", "_mask.png"),
    ),
    "labels without splits": (
        ["images/train/a.jpg", "images/val/b.jpg", "labels/a.png", "labels/b.png"],
        ("images/train", (), "labels", ".png"),
    ),
    "colours next to indices": (
        ["images/1.png", "labels_color/1.png", "labels/1.png"],
        ("images", (), "labels", ".png"),
    ),
}


def touch(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name, tmp_path):
    files, expected = LAYOUTS[name]
    touch(tmp_path, files)
    found = labelled_folders(tmp_path)
    assert (
        found.img_path,
        found.img_suffix,
        found.seg_map_path,
        found.seg_map_suffix,
    ) == expected


def test_photos_in_any_tree_are_unlabelled_images(tmp_path):
    touch(tmp_path, ["2024/may/1.JPG", "2024/june/2.jpeg", ".cache/3.jpg", "notes.txt"])
    found = find_folders(tmp_path)
    assert list(found) == [""]
    assert found[""].img_path == "2024"
    assert list(found[""].images) == ["june/2.jpeg", "may/1.JPG"]
    assert found[""].seg_map_path is None


def test_named_folders_count(tmp_path):
    touch(tmp_path, ["x/a.png", "y/a.png", "labels/a.png"])
    found = labelled_folders(tmp_path, "x", "y")
    assert (found.img_path, found.seg_map_path) == ("x", "y")


def test_what_cannot_be_paired_is_an_error(tmp_path):
    with pytest.raises(InputError, match="none does not exist"):
        find_folders(tmp_path / "none")
    with pytest.raises(InputError, match="holds no images"):
        find_folders(tmp_path)
    touch(tmp_path, ["images/a.jpg", "labels/b.png"])
    with pytest.raises(InputError, match=r"no label maps fit the images .*images \(1 images\)"):
        labelled_folders(tmp_path)
    touch(tmp_path / "other", ["a.png", "a_mask.png"])
    with pytest.raises(InputError, match=r"a_mask\.png, label maps of one suffix: move"):
        labelled_folders(tmp_path / "other")
