"""Test which files below a folder count as data."""

import os
from pathlib import Path

import pytest

from mmseg.datasets import FolderDataset
from mmseg.datasets.listing import list_files


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_files_of_any_suffix_are_sorted_by_path(tmp_path):
    write(tmp_path, "b.png", "a/z.jpg", "a/b/c.png", "a.txt", "a/.part.png")
    assert list_files(tmp_path, ".png") == ["a/b/c.png", "b.png"]
    assert list_files(str(tmp_path), (".png", ".jpg")) == ["a/b/c.png", "a/z.jpg", "b.png"]
    assert list_files(tmp_path / "none", ".png") == []


@pytest.mark.parametrize(
    "left",
    [
        ".ipynb_checkpoints/a-checkpoint.png",
        "@eaDir/a.png/SYNOPHOTO_THUMB_M.png",
        "__MACOSX/._a.png",
        ".Trash-1000/files/a.png",
        "$RECYCLE.BIN/a.png",
        "lost+found/a.png",
        "#recycle/a.png",
        "deep/@EADIR/a.png",
        "._a.png",
    ],
)
def test_files_that_systems_leave_behind_are_skipped(left, tmp_path):
    write(tmp_path, "a.png", "deep/recycle/b.png", left)
    assert list_files(tmp_path, ".png") == ["a.png", "deep/recycle/b.png"]


def test_the_searched_folder_itself_may_be_hidden(tmp_path):
    write(tmp_path / ".cache/@eaDir", "a.png")
    assert list_files(tmp_path / ".cache/@eaDir", ".png") == ["a.png"]


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=True)


def test_loops_of_links_list_each_file_once(tmp_path):
    write(tmp_path, "in/a.png", "in/one/b.png", "in/two/c.png", "x/d.png", "y/e.png")
    link(tmp_path / "in/self", tmp_path / "in")
    link(tmp_path / "in/one/above", tmp_path)
    link(tmp_path / "in/one/to_two", tmp_path / "in/two")
    link(tmp_path / "in/two/to_one", tmp_path / "in/one")
    link(tmp_path / "in/two/link", tmp_path / "in/two/link")
    assert list_files(tmp_path / "in", ".png") == ["a.png", "one/b.png", "two/c.png"]
    link(tmp_path / "through", tmp_path / "in")
    assert list_files(tmp_path / "through", ".png") == ["a.png", "one/b.png", "two/c.png"]
    link(tmp_path / "x/y", tmp_path / "y")
    link(tmp_path / "y/x", tmp_path / "x")
    assert list_files(tmp_path / "x", ".png") == ["d.png", "y/e.png"]


def test_links_to_other_places_are_followed(tmp_path):
    write(tmp_path, "photos/a.png", "photos/deep/b.png", "all/c.png")
    for name in ("first", "second"):
        link(tmp_path / "all" / name, tmp_path / "photos")
    (tmp_path / "all/d.png").symlink_to(tmp_path / "photos/a.png")
    (tmp_path / "all/lost.png").symlink_to(tmp_path / "nothing.png")
    assert list_files(tmp_path / "all", ".png") == [
        "c.png",
        "d.png",
        "first/a.png",
        "first/deep/b.png",
        "lost.png",
        "second/a.png",
        "second/deep/b.png",
    ]


def test_pipes_are_not_listed(tmp_path):
    write(tmp_path, "images/a.png")
    os.mkfifo(tmp_path / "images/b.png")
    (tmp_path / "images/c.png").symlink_to("b.png")
    dataset = FolderDataset(str(tmp_path), {"img_path": "images"})
    assert [info["img_path"] for info in map(dataset.get_data_info, range(len(dataset)))] == [
        f"{tmp_path}/images/a.png"
    ]
