"""Find out what the pixels of label maps mean."""

import numpy as np
import pytest
from PIL import Image

from mmseg.datasets import CITYSCAPES_CLASSES
from mmseg.datasets.label_coding import LabelCoding
from mmseg.utils import InputError
from tools.tasks.class_names import ClassList, Entry
from tools.tasks.labels import counted_codes, look_at, meaning_of


def found(folder, pixels, names=None, entries=None, suffix=".png"):
    Image.fromarray(np.array(pixels, np.uint8)).save(folder / "a.png")
    listed = None if entries is None else ClassList("labels.txt", entries)
    return meaning_of(look_at([str(folder / "a.png")]), names, listed, suffix)


@pytest.mark.parametrize(
    ("values", "names", "classes", "coding"),
    [
        ([0, 1, 1, 255], None, ["class 0", "class 1"], {}),
        ([0, 2], None, ["class 0", "class 2"], {"label_map": {"0": 0, "2": 1}}),
        ([0, 2], ["a", "b", "c"], ["a", "b", "c"], {}),
        ([3, 9, 255], ["a", "b"], ["a", "b"], {"label_map": {"3": 0, "9": 1}}),
        ([0, 255], None, ["background", "class 255"], {"label_map": {"0": 0, "255": 1}}),
        ([0, 255], ["a", "b"], ["a", "b"], {"label_map": {"0": 0, "255": 1}}),
        ([0, 1], ["weed"], ["background", "weed"], {}),
        ([5, 255], ["weed"], ["background", "weed"], {"label_map": {"5": 0, "255": 1}}),
    ],
)
def test_values(tmp_path, values, names, classes, coding):
    meaning = found(tmp_path, [values], names)
    assert (meaning.classes, meaning.coding) == (classes, coding)


def test_a_list_with_indices_and_a_void_class(tmp_path):
    entries = [Entry("unlabeled", 0), Entry("road", 7, (1, 2, 3)), Entry("tree", 21, (4, 5, 6))]
    meaning = found(tmp_path, [[7, 0, 255]], entries=entries)
    assert meaning.classes == ["road", "tree"]
    assert meaning.palette == [[1, 2, 3], [4, 5, 6]]
    assert meaning.coding == {"label_map": {"7": 0, "21": 1}, "ignore": [0]}
    assert meaning.names_from == "labels.txt"
    with pytest.raises(InputError, match="label maps hold the values 8, which have no name"):
        found(tmp_path, [[7, 8]], entries=entries)


def test_a_single_listed_class_leaves_the_rest_to_the_background(tmp_path):
    meaning = found(tmp_path, [[0, 255, 255]], entries=[Entry("weed", 0)])
    assert meaning.classes == ["background", "weed"]
    assert meaning.coding == {"label_map": {"0": 1, "255": 0}}
    assert meaning.doubts == ["values that are not weed are read as background (label_map)"]


def test_label_ids_and_train_ids_of_cityscapes_are_known_by_their_names(tmp_path):
    meaning = found(tmp_path, [[7, 33, 3]], suffix="_gtFine_labelIds.png")
    assert meaning.classes == list(CITYSCAPES_CLASSES)
    label = LabelCoding(meaning.classes, **meaning.coding).read(str(tmp_path / "a.png"))
    assert label.tolist() == [[0, 18, 255]]
    meaning = found(tmp_path, [[0, 18, 255]], suffix="_labelTrainIds.png")
    assert (meaning.classes, meaning.coding) == (list(CITYSCAPES_CLASSES), {})


def test_colours_without_names_and_stray_ones(tmp_path):
    pixels = [[(9, 9, 0), (0, 0, 200)] * 100]
    meaning = found(tmp_path, pixels)
    assert meaning.palette == [[9, 9, 0], [0, 0, 200]]
    assert meaning.doubts == ["which colour is which class: class 0 (9, 9, 0), class 1 (0, 0, 200)"]
    entries = [Entry("a", color=(0, 0, 200)), Entry("b", color=(9, 9, 0))]
    pixels[0][0] = (1, 1, 1)
    meaning = found(tmp_path, pixels, entries=entries)
    assert (meaning.classes, meaning.coding) == (
        ["a", "b"],
        {"labels": "colors", "ignore": ["1 1 1"]},
    )
    meaning = found(tmp_path, [[(0, 0, 0), (200, 0, 0)]], ["crack"])
    assert (meaning.classes, meaning.palette) == (["background", "crack"], [[0, 0, 0], [200, 0, 0]])


@pytest.mark.parametrize(("order", "labels"), [((0, 1, 2), None), ((2, 0, 1), "colors")])
def test_a_palette_in_the_order_of_the_list_is_read_as_indices(tmp_path, order, labels):
    shades = [(9, 0, 0), (0, 9, 0), (0, 0, 9)]
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([value for place in order for value in shades[place]])
    image.save(tmp_path / "a.png")
    listed = ClassList("labels.txt", [Entry(f"c{i}", color=c) for i, c in enumerate(shades)])
    meaning = meaning_of(look_at([str(tmp_path / "a.png")]), None, listed, ".png")
    assert meaning.coding.get("labels") == labels
    assert meaning.palette == [list(shade) for shade in shades]
    coding = LabelCoding(meaning.classes, meaning.palette, **meaning.coding)
    assert coding.read(str(tmp_path / "a.png")).tolist() == [list(order)]


@pytest.mark.parametrize("copies", [1, 3])
def test_255_in_the_red_channel_is_of_no_class(tmp_path, copies):
    values = [0, 1, 2, 255]
    pixels = [[(value, *[value if copies == 3 else 0] * 2) for value in values]]
    meaning = found(tmp_path, pixels)
    assert (len(meaning.classes), meaning.coding) == (3, {"labels": "red"})
    Image.fromarray(np.array(pixels, np.uint8)).save(tmp_path / "a.png")
    coding = LabelCoding(meaning.classes, meaning.palette, **meaning.coding)
    assert coding.read(str(tmp_path / "a.png")).tolist() == [values]


def test_many_colours_with_few_reds_are_red(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (20, 20, 3))
    pixels[..., 0] = 4
    pixels[0, :, 0] = 7
    meaning = found(tmp_path, pixels)
    assert meaning.coding == {"labels": "red", "label_map": {"4": 0, "7": 1}}
    assert "seem to be the values of the red channel" in meaning.doubts[-1]


@pytest.mark.parametrize(
    ("pixels", "names", "message"),
    [
        ([[4, 4]], None, r"the label maps show one class \(class 4\)"),
        (
            [[0, 1, 2]],
            ["weed"],
            r"--classes names one class, but label maps hold the values 0, 1, 2",
        ),
        ([list(range(100))], None, "label maps hold 100 values, too many for classes without na"),
        (np.random.default_rng(0).integers(0, 255, (20, 20, 3)), None, "colours in 1 label maps"),
        (
            [[(1, 2, 3), (3, 2, 100)]],
            ["a"] * 3,
            r"3 names of classes, but label maps hold 2 colours",
        ),
    ],
)
def test_what_cannot_be_understood_is_an_error(tmp_path, pixels, names, message):
    with pytest.raises(InputError, match=message):
        found(tmp_path, pixels, names)


def test_mixed_label_maps_are_an_error(tmp_path):
    for i, shape in enumerate([(2, 2), (2, 2, 3)]):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{i}.png")
    with pytest.raises(
        InputError, match="1 of 2 label maps have one channel and the others several"
    ):
        look_at([str(tmp_path / "0.png"), str(tmp_path / "1.png")])


def test_runs_are_counted():
    codes = np.array([[5, 5, 3], [3, 5, 7]])
    assert counted_codes(codes) == {3: 2, 5: 3, 7: 1}
