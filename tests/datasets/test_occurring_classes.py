"""Test the check for classes that no label map shows."""

import numpy as np
import pytest

from mmseg.datasets import FolderDataset, GTADataset, SynthiaDataset
from mmseg.datasets.occurring_classes import check_occurring
from mmseg.utils import InputError
from tests.datasets.small_data import LABELLED, write_image, write_label


def data(folder, labels, suffix=".png") -> str:
    rng = np.random.default_rng(0)
    for i, values in enumerate(labels):
        write_image(folder / f"images/{i:04d}.png", (1, len(values)), rng)
        write_label(folder / f"labels/{i:04d}{suffix}", np.array([values]))
    return str(folder)


def folder_dataset(root, classes, **arguments) -> FolderDataset:
    return FolderDataset(root, LABELLED, metainfo={"classes": classes}, **arguments)


@pytest.mark.parametrize("counted", [None, [0]])
def test_a_second_class_drawn_as_255_is_refused(counted, tmp_path):
    dataset = folder_dataset(data(tmp_path, [[0, 255], [0, 0]]), ["background", "thing"])
    with pytest.raises(InputError, match=r"shows class 1 \(thing\); the values found are 0, 255: "):
        check_occurring(dataset, counted)


def test_a_single_class_is_refused_with_the_way_out(tmp_path):
    dataset = folder_dataset(data(tmp_path, [[0, 255]]), ["weed"])
    with pytest.raises(InputError) as error:
        check_occurring(dataset)
    assert str(error.value) == (
        "there is one class (weed), so there is nothing to learn: add a class for the rest, "
        'classes=["background", "weed"], and if label maps mark only the class, say by which '
        'values: label_map={"0": 0, "255": 1}'
    )


def test_a_third_class_drawn_as_255_must_be_declared_absent(tmp_path):
    root = data(tmp_path, [[0, 255], [0, 1]])
    with pytest.raises(InputError, match=r"class 2 \(c\); .* absent_classes of the data set"):
        check_occurring(folder_dataset(root, ["a", "b", "c"]))
    assert check_occurring(folder_dataset(root, ["a", "b", "c"], absent_classes=["c"])) is None
    with pytest.raises(InputError, match="absent_classes of the FolderDataset are not classes"):
        folder_dataset(root, ["a", "b"], absent_classes=["c"])


def test_a_subset_may_lack_a_class(tmp_path):
    root = data(tmp_path, [[0, 1], [2, 2]])
    assert check_occurring(folder_dataset(root, ["a", "b", "c"])) is None
    assert "class 2 (c)" in check_occurring(folder_dataset(root, ["a", "b", "c"], indices=1))


def test_known_data_sets_may_lack_classes(tmp_path):
    everything = list(range(19))
    root = data(tmp_path / "gta", [everything[:-1]], "_labelTrainIds.png")
    text = check_occurring(GTADataset(root, LABELLED))
    assert text.startswith(f"no label map of {root} shows class 18 (bicycle); the values found are")
    synthia = [c for c in everything if c not in (9, 14, 16)]
    root = data(tmp_path / "synthia", [synthia], "_labelTrainIds.png")
    assert check_occurring(SynthiaDataset(root, LABELLED)) is None


def test_rare_classes_are_searched_in_more_label_maps(tmp_path):
    root = data(tmp_path, [[0, 0]] * 140 + [[0, 1]] * 2)
    assert check_occurring(folder_dataset(root, ["sound", "fault"])) is None
    text = check_occurring(folder_dataset(root, ["sound", "fault", "other"]))
    assert text.startswith("none of 100 of the 142 label maps of ")
