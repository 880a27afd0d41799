import os

import pytest

from mmseg.utils import (
    InputError,
    atomic_path,
    check_writable,
    remove_unfinished,
    undone_on_error,
)


def test_atomic_path_replaces_when_done(tmp_path):
    path = tmp_path / "new" / "a.txt"
    path.parent.mkdir()
    path.write_text("old")
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.txt"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_atomic_path_keeps_the_old_file_after_an_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_check_writable_makes_the_folder_or_says_why_not(tmp_path):
    check_writable(tmp_path / "a" / "b", "--out")
    assert os.listdir(tmp_path / "a" / "b") == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as raised:
        check_writable(tmp_path / "file" / "b", "--out")
    assert str(raised.value) == (
        f"cannot write to {tmp_path}/file/b (Not a directory): choose another folder with --out"
    )


def test_atomic_path_names_the_file_that_it_cannot_write(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError) as raised, atomic_path(path):
        raise OSError(28, "No space left on device")
    assert str(raised.value) == f"[Errno 28] No space left on device: '{path}'"
    assert path.read_text() == "old"


def test_remove_unfinished_removes_only_unfinished_files(tmp_path):
    kept = ["iter_5.pth", ".lock", ".iter_5.json.txt", "best_mIoU_iter_5.pth"]
    for name in [*kept, ".iter_5.ab12cd_9.pth", ".iter_10.k3.pth"]:
        (tmp_path / name).touch()
    remove_unfinished(tmp_path / "iter_*.pth")
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


@pytest.mark.parametrize("error", [InputError("x"), RuntimeError("x"), KeyboardInterrupt()])
@pytest.mark.parametrize("keep", [False, True])
def test_undone_on_error_removes_what_is_new(tmp_path, error, keep):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("kept")
    with pytest.raises(type(error)), undone_on_error(tmp_path, keep=lambda: keep):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").touch()
        (tmp_path / "file").touch()
        raise error
    assert sorted(os.listdir(tmp_path)) == (["file", "new", "old"] if keep else ["old"])
    assert (tmp_path / "old" / "file").read_text() == "kept"


def test_undone_on_error_does_nothing_without_an_error(tmp_path):
    with undone_on_error(tmp_path, keep=lambda: False):
        (tmp_path / "file").touch()
    assert os.listdir(tmp_path) == ["file"]
