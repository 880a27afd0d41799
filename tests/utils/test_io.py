import os

import pytest

from mmseg.utils import InputError, atomic_path, check_writable, undone_on_error


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


def test_atomic_path_leaves_the_old_after_an_error(tmp_path):
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


def _fill(folder, error, keep=False):
    with pytest.raises(type(error)), undone_on_error(folder, keep=lambda: keep):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "file").touch()
        (folder / "file").touch()
        raise error


def test_undone_on_error_removes_a_new_folder_and_its_new_parents(tmp_path):
    (tmp_path / "old").mkdir()
    _fill(tmp_path / "old" / "new" / "run", InputError("x"))
    assert os.listdir(tmp_path / "old") == []


def test_undone_on_error_leaves_what_was_there(tmp_path):
    (tmp_path / "kept").touch()
    _fill(tmp_path, InputError("x"))
    assert os.listdir(tmp_path) == ["kept"]


@pytest.mark.parametrize(("error", "keep"), [(InputError("x"), True), (RuntimeError("x"), False)])
def test_undone_on_error_keeps_results_and_traces_of_bugs(tmp_path, error, keep):
    _fill(tmp_path, error, keep)
    assert sorted(os.listdir(tmp_path)) == ["file", "sub"]


def test_undone_on_error_does_nothing_without_one(tmp_path):
    with undone_on_error(tmp_path, keep=lambda: False):
        (tmp_path / "file").touch()
    assert os.listdir(tmp_path) == ["file"]
