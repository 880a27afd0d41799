"""Test data loaders whose workers die or run out of shared memory."""

import multiprocessing
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmseg.datasets.loader import build_dataloader, loader_errors
from mmseg.utils import InputError

LOADER = {"batch_size": 2, "sampler": {"type": "DefaultSampler", "shuffle": False}}
LOADER["collate_fn"] = {"type": "pseudo_collate"}


class Images(Dataset):
    """A data set of images of ones; item 2 raises the error, if one is given."""

    metainfo: dict = {}

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.error and index == 2:
            raise self.error
        return torch.ones(3, 4)


def loader(error: Exception | None = None, **options) -> DataLoader:
    return build_dataloader({"dataset": Images(error), "num_workers": 1, **LOADER, **options})


@contextmanager
def raised(kind: type[Exception], message: str) -> Iterator[None]:
    """Check the error that :func:`loader_errors` lets pass, and end the loader's iterator.

    torch's errors refer to it in a circle. A garbage collection would stop its queues first, and
    then wait five seconds for workers that hear nothing.
    """
    with pytest.raises(kind, match=message) as caught, loader_errors():
        yield
    for error in filter(None, (caught.value, caught.value.__cause__)):
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None


def test_batches_of_workers_arrive_in_shared_memory():
    batch = next(iter(loader()))
    assert [tensor.tolist() for tensor in batch] == [torch.ones(3, 4).tolist()] * 2
    assert all(tensor.is_shared() for tensor in batch)


def test_without_workers_their_settings_have_no_effect():
    batches = loader(num_workers=0, persistent_workers=True, prefetch_factor=3)
    assert not any(tensor.is_shared() for tensor in next(iter(batches)))
    assert len(list(batches)) == 20
    assert batches.timeout == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_is_reported_in_one_line(number):
    before = multiprocessing.active_children()
    batches = iter(loader(persistent_workers=True))
    next(batches)
    (worker,) = set(multiprocessing.active_children()).difference(before)
    start = time.monotonic()
    line = "a worker of the data loader was killed.*num_workers"
    with raised(InputError, line):
        # By another process: a worker that its own parent terminates exits as if it had finished.
        subprocess.run(["kill", f"-{int(number)}", str(worker.pid)], check=True)
        list(batches)
        while time.monotonic() < start + 20:  # the worker dies while the network computes
            time.sleep(0.01)
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            RuntimeError(
                "unable to allocate shared memory(shm) for file </t>: No space left on device (28)"
            ),
            "/dev/shm is too small.*num_workers=0.*--shm-size",
        ),
        (
            RuntimeError("unable to open shared memory object </t>: Too many open files (24)"),
            "too many open files: raise the limit .ulimit -n",
        ),
    ],
)
def test_full_shared_memory_is_reported_in_one_line(error, line):
    with raised(InputError, line):
        list(loader(error))


@pytest.mark.parametrize(
    ("error", "workers"),
    [
        (RuntimeError("a bug"), 1),
        (FileNotFoundError(2, "No such file", "a.png"), 0),
        (EOFError("end"), 1),
    ],
)
def test_errors_of_the_data_set_are_passed_on(error, workers):
    with raised(type(error), error.args[-1]):
        list(loader(error, num_workers=workers))


def test_a_stalled_worker_is_reported_in_one_line():
    before = multiprocessing.active_children()
    batches = iter(loader(timeout=1))
    (worker,) = set(multiprocessing.active_children()).difference(before)
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        line = "has delivered nothing for a long time.*timeout"
        with raised(InputError, line):
            list(batches)
    finally:
        os.kill(worker.pid, signal.SIGCONT)
