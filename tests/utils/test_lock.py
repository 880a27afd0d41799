import os
import signal
import time

import pytest

from mmseg.utils import InputError
from mmseg.utils.work_dir import locked


def forked(function) -> int:
    """Fork a process that exits with the result of ``function``, and return its id."""
    process = os.fork()
    if process == 0:
        status = 99
        try:
            status = function()
        finally:
            os._exit(status)
    return process


def status_of(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def taken(folder) -> int:
    """Return 1 if the folder is in use, else 0."""
    try:
        with locked(folder, "--work-dir"):
            return 0
    except InputError:
        return 1


def hold(folder, child_lives: bool = False) -> None:
    with locked(folder, "--work-dir"):
        if child_lives:
            forked(lambda: time.sleep(3) or 0)
        (folder / "held").touch()
        time.sleep(60)


def wait_for(path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_one_process_at_a_time_uses_a_folder(tmp_path):
    folder = tmp_path / "a" / "run"
    with locked(folder, "--work-dir"):
        assert status_of(forked(lambda: taken(folder))) == 1
        assert os.listdir(folder) == [".lock"]
        assert status_of(forked(lambda: taken(tmp_path / "b"))) == 0
    assert os.listdir(tmp_path) == []
    assert status_of(forked(lambda: taken(folder))) == 0


def test_a_used_folder_is_refused_and_its_contents_stay(tmp_path):
    owner = forked(lambda: hold(tmp_path / "run") or 0)
    wait_for(tmp_path / "run" / "held")
    with (
        pytest.raises(InputError) as raised,
        locked(tmp_path / "run", "--work-dir"),
    ):
        pytest.fail("entered")
    assert str(raised.value) == (
        f"{tmp_path}/run is in use by another run: wait until that has ended, or choose another "
        "folder with --work-dir"
    )
    os.kill(owner, signal.SIGKILL)
    status_of(owner)
    assert sorted(os.listdir(tmp_path / "run")) == [".lock", "held"]
    with locked(tmp_path / "run", "--work-dir"):
        pass
    assert os.listdir(tmp_path / "run") == ["held"]


def test_a_killed_owner_unlocks_despite_running_workers(tmp_path):
    owner = forked(lambda: hold(tmp_path, child_lives=True) or 0)
    wait_for(tmp_path / "held")
    assert taken(tmp_path) == 1
    os.kill(owner, signal.SIGKILL)
    assert status_of(owner) == -signal.SIGKILL
    assert taken(tmp_path) == 0


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match="choose another folder with --work-dir"),
        locked(tmp_path / "file" / "run", "--work-dir"),
    ):
        pytest.fail("entered")
