from pathlib import Path

import pytest

from mmseg.utils import InputError
from tools.prediction.inputs import find_inputs

FILES = [
    "a.png",
    "b.JPG",
    "notes.txt",
    ".hidden.png",
    "one/a.png",
    "one/deep/c.webp",
    "two/clip.MP4",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in FILES:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def targets(*arguments, out_dir="out"):
    return [(str(i.path), str(i.target)) for i in find_inputs(arguments, Path(out_dir))]


def test_a_folder_is_searched_and_its_subfolders_are_kept(folder):
    assert targets("in") == [
        ("in/a.png", "a"),
        ("in/b.JPG", "b"),
        ("in/one/a.png", "one/a"),
        ("in/one/deep/c.webp", "one/deep/c"),
        ("in/two/clip.MP4", "two/clip"),
    ]
    assert [i.is_video for i in find_inputs(["in"], Path("out"))] == [False] * 4 + [True]


def test_files_go_to_the_top_and_count_once(folder):
    assert targets("in/one/a.png", "in/b.JPG", "in/one/../b.JPG", "in/one") == [
        ("in/one/a.png", "a"),
        ("in/b.JPG", "b"),
        ("in/one/deep/c.webp", "deep/c"),
    ]
    # A file that is named explicitly may have any name.
    assert targets("in/notes.txt", "in/.hidden.png") == [
        ("in/notes.txt", "notes"),
        ("in/.hidden.png", ".hidden"),
    ]


def test_patterns_keep_what_is_below_their_plain_part(folder):
    assert targets("in/**/*.png") == [("in/a.png", "a"), ("in/one/a.png", "one/a")]
    assert targets("in/t*") == [("in/two/clip.MP4", "two/clip")]
    assert targets("i?/one/*") == [
        ("in/one/a.png", "in/one/a"),
        ("in/one/deep/c.webp", "in/one/deep/c"),
    ]


def test_patterns_leave_out_what_systems_leave_behind(folder):
    expected = targets("in/**/*.png")
    assert expected == [("in/a.png", "a"), ("in/one/a.png", "one/a")]
    for name in ("@eaDir/a.png", "one/.ipynb_checkpoints/a.png", "__MACOSX/one/a.png"):
        path = folder / "in" / name
        path.parent.mkdir(parents=True)
        path.touch()
    assert targets("in/**/*.png") == expected
    assert targets("in/@eaDir/*.png") == [("in/@eaDir/a.png", "a")]


def test_a_name_with_brackets_is_a_file_first(folder):
    (folder / "in[0, 1].png").touch()
    assert targets("in[0, 1].png") == [("in[0, 1].png", "in[0, 1]")]


def test_results_of_an_earlier_call_are_not_inputs(folder):
    assert [path for path, _ in targets("in", out_dir="in/one")] == [
        "in/a.png",
        "in/b.JPG",
        "in/two/clip.MP4",
    ]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["in", "nowhere"], "nowhere: there is no such file or folder"),
        (["in/*.gif"], r"no image or video matches in/\*.gif"),
        (["in/n*"], r"no image or video matches in/n\*"),
        ([""], "an input is empty: name a file"),
        (["/proc"], "/proc is a folder of the system"),
        (["/sys/kernel"], "/sys/kernel is a folder of the system"),
        (["/dev"], "/dev is a folder of the system"),
        (["/"], "/ is a folder of the system"),
        (["/proc/**/*.png"], "/proc is a folder of the system"),
        (["n" * 300], "there is no such file or folder"),
        (["out"], "out is in the folder of results"),
        (["empty"], r"empty holds no images or videos \(.avi, .bmp"),
        (
            ["in/a.png", "in/one/a.png"],
            "^in/a.png and in/one/a.png would have results of one name, a: predict",
        ),
    ],
)
def test_mistakes(folder, arguments, message):
    (folder / "empty").mkdir()
    (folder / "out").mkdir()
    with pytest.raises(InputError, match=message):
        find_inputs(arguments, Path("out"))


def test_two_suffixes_of_one_name(folder):
    (folder / "in/a.jpg").touch()
    with pytest.raises(InputError, match=r"in/a.jpg and in/a.png would .* or rename one"):
        find_inputs(["in"], Path("out"))


def test_a_linked_file_counts_once(folder):
    (folder / "in/link.png").symlink_to(folder / "in/a.png")
    (folder / "again").symlink_to(folder / "in/one")
    assert targets("in/a.png", "in/link.png") == [("in/a.png", "a")]
    assert targets("again", "in/one") == [("again/a.png", "a"), ("again/deep/c.webp", "deep/c")]
    assert [path for path, _ in targets("in", out_dir="again")] == [
        "in/a.png",
        "in/b.JPG",
        "in/two/clip.MP4",
    ]
