"""Test pools of processes: order of results, killed workers and killed parents."""

import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from mmseg.utils import InputError
from tools.common.processes import map_in_processes


def write(folder: Path, number: int) -> int:
    """Write a file in two halves; its name holds the process id."""
    path = folder / f"{number}_{os.getpid()}"
    with path.open("w") as file:
        file.write("half")
        file.flush()
        time.sleep(0.05)
        file.write("whole")
    return number**2


def end_if_odd(number: int) -> None:
    if number % 2:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("nproc", [1, 2])
def test_results_come_in_order(tmp_path, nproc):
    found = list(map_in_processes(partial(write, tmp_path), range(7), nproc, chunksize=2))
    assert found == [0, 1, 4, 9, 16, 25, 36]
    assert len({path.name.split("_")[1] for path in tmp_path.iterdir()}) <= nproc


def test_a_killed_worker_is_reported_in_one_line():
    with pytest.raises(InputError, match="a worker process was killed.*smaller --nproc"):
        list(map_in_processes(end_if_odd, range(4), 2, chunksize=1))


def is_running(process: int) -> bool:
    """Return whether a process runs; one that has ended may wait to be collected."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent_between_two_files(tmp_path, number):
    def work() -> None:
        list(map_in_processes(partial(write, tmp_path), range(4000), 2, chunksize=1))

    parent = multiprocessing.get_context("fork").Process(target=work)
    parent.start()
    deadline = time.monotonic() + 20
    while len(list(tmp_path.iterdir())) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(parent.pid, number)
    parent.join()
    assert parent.exitcode == -number
    workers = {int(path.name.split("_")[1]) for path in tmp_path.iterdir()}
    assert len(workers) == 2
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, workers))
    assert {path.read_text() for path in tmp_path.iterdir()} == {"halfwhole"}
