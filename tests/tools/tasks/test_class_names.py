"""Read lists of classes as people and tools write them."""

import pytest

from tools.tasks.class_names import Entry, find_class_list, read_class_list

LISTS = {
    "CamVid": (
        "64 128 64\t\tAnimal\n192 0 128\tTraffic Light\n",
        [("Animal", None, (64, 128, 64)), ("Traffic Light", None, (192, 0, 128))],
    ),
    "CVAT": (
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nclass 1:1,2,3::\n",
        [("background", None, (0, 0, 0)), ("class 1", None, (1, 2, 3))],
    ),
    "CSV": (
        "name,r,g,b\nroad,128,64,128\nRoad sign,0,0,9\n",
        [("road", None, (128, 64, 128)), ("Road sign", None, (0, 0, 9))],
    ),
    "index, name, colour": (
        "0 road 1 2 3\n4 tree 5 6 7",
        [("road", 0, (1, 2, 3)), ("tree", 4, (5, 6, 7))],
    ),
    "index and name": ("7: road\n8: side walk\n", [("road", 7, None), ("side walk", 8, None)]),
    "name and index": ("road;7\nwall 2;8\n", [("road", 7, None), ("wall 2", 8, None)]),
    "LabelMe": (
        "__ignore__\n_background_\nperson\n",
        [("_background_", 0, None), ("person", 1, None)],
    ),
    "no list": ("This data set, see the paper: 12 scenes, 3 cameras.\nMore.\n", []),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_classes_in_the_forms_of_tools(name, tmp_path):
    text, expected = LISTS[name]
    (tmp_path / "labels.txt").write_text(text)
    assert read_class_list(tmp_path / "labels.txt") == [Entry(*entry) for entry in expected]


def test_a_list_is_found_by_its_name(tmp_path):
    (tmp_path / "README.txt").write_text("one\ntwo\n")
    assert find_class_list([tmp_path]) is None
    (tmp_path / "class_dict.csv").write_text("one,1,1,1\n")
    found = find_class_list([tmp_path])
    assert found.path == str(tmp_path / "class_dict.csv")
    assert [entry.name for entry in found.entries] == ["one"]
    assert Entry("_Void_").is_void
    assert not Entry("avoid").is_void
