"""Processes of a distributed run: how they connect, exchange values and report errors."""

import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal, TypeVar, get_args

import torch
from mmengine.dist import (
    all_gather_object,
    broadcast,
    broadcast_object_list,
    get_rank,
    get_world_size,
    init_dist,
    is_distributed,
    is_main_process,
)
from torch import Tensor, distributed, nn

from mmseg.datasets.loader import loader_errors
from mmseg.utils import InputError, RankError, SharedError
from mmseg.utils.cli import error_line

Value = TypeVar("Value")
Launcher = Literal["none", "pytorch", "slurm"]
# Variables that a launcher sets in the environment of each process, and its command line.
_ENVIRONMENT = {
    "pytorch": ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    "slurm": ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS", "SLURM_NODELIST"),
}
_COMMAND = {
    "pytorch": "torchrun --nproc_per_node=K -m tools.train ... --launcher pytorch",
    "slurm": "srun ... python -m tools.train ... --launcher slurm",
}


@contextmanager
def process_group(
    launcher: Launcher, device: torch.device, options: Mapping[str, Any]
) -> Iterator[None]:
    """Join the process group of a run, with one GPU per process, for the duration of the block.

    A process that is in a group already neither joins nor leaves one.

    Args:
        launcher: program that started the processes: "pytorch" (torchrun) or "slurm" (srun);
            "none": there is only one process.
        device: device of the type that they use. GPUs communicate by NCCL, CPUs by gloo.
        options: ``backend`` for GPUs and ``timeout`` in seconds, as in ``env_cfg.dist_cfg``.

    Raises:
        InputError: if the launcher has not started this process, or there are fewer GPUs.
    """
    if launcher not in get_args(Launcher):
        raise InputError(f"launcher must be one of {list(get_args(Launcher))}, not {launcher!r}")
    if launcher == "none":
        check_alone()
    if launcher == "none" or is_distributed():
        yield
        return
    _join(launcher, device, options)
    together = False
    try:
        yield
        together = True
    except SharedError:
        together = True
        raise
    finally:
        # Leaving an NCCL group waits for the other ranks, which may wait for this one if only it
        # has failed. Threads of gloo that are not stopped abort the process.
        if together or device.type == "cpu":
            distributed.destroy_process_group()


def check_alone() -> None:
    """Check that no other process does the same work.

    Raises:
        InputError: if torchrun has started others.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(
            f"torchrun has started {os.environ['WORLD_SIZE']} processes, each of which would do "
            "all of the work: add --launcher pytorch, or where there is no such option start one"
        )


def _join(launcher: Launcher, device: torch.device, options: Mapping[str, Any]) -> None:
    missing = [name for name in _ENVIRONMENT[launcher] if name not in os.environ]
    if missing:
        raise InputError(
            f"launcher {launcher!r} needs {', '.join(missing)} in the environment: "
            f"start with {_COMMAND[launcher]}"
        )
    if launcher == "slurm":
        os.environ.update(slurm_environment(os.environ))
    # mmengine would set these to 1, and log it in every process.
    threads = os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    os.environ.setdefault("MKL_NUM_THREADS", threads)
    if device.type == "cuda":
        rank, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if rank >= count:
            raise InputError(
                f"process {rank} (counted from 0) of this machine has no separate GPU, it sees "
                f"{count}: start as many processes as there are GPUs, and show each process all of "
                "them"
            )
        init_dist(launcher, **{"backend": "nccl", **options})
    else:  # mmengine would select a GPU
        timeout = options.get("timeout")
        distributed.init_process_group(
            "gloo", timeout=None if timeout is None else timedelta(seconds=timeout)
        )
    # The Runner sets a start method, and would warn if one was set before.
    multiprocessing.set_start_method(None, force=True)


def slurm_environment(task: Mapping[str, str]) -> dict[str, str]:
    """Translate the environment of a SLURM task to the variables that torch needs.

    Args:
        task: the environment of the task. ``MASTER_ADDR`` and ``MASTER_PORT`` in it are kept;
            by default the first node of the step is the master, at a port that depends on the job.

    Raises:
        InputError: if the first node cannot be determined.
    """
    master = task.get("MASTER_ADDR")
    if not master:
        nodes = task.get("SLURM_STEP_NODELIST") or task["SLURM_NODELIST"]
        hosts = []
        if shutil.which("scontrol"):
            command = ["scontrol", "show", "hostnames", nodes]
            hosts = subprocess.run(command, capture_output=True, text=True).stdout.split()
        if not hosts:
            raise InputError(
                f"scontrol does not say which hosts SLURM_NODELIST={nodes} are: set MASTER_ADDR to "
                "the first of them"
            )
        master = hosts[0]
    port = 20000 + int(task.get("SLURM_JOB_ID", 0)) % 10000
    return {
        "RANK": task["SLURM_PROCID"],
        "LOCAL_RANK": task["SLURM_LOCALID"],
        "WORLD_SIZE": task["SLURM_NTASKS"],
        "MASTER_ADDR": master,
        "MASTER_PORT": task.get("MASTER_PORT") or str(port),
    }


def broadcast_from_rank0(value: Value) -> Value:
    """Return, on all ranks, the value that rank 0 calls this function with."""
    values = [value]
    broadcast_object_list(values)
    return values[0]


def broadcast_state(module: nn.Module) -> None:
    """Replace all parameters and buffers by those of rank 0."""
    if get_world_size() == 1:
        return
    for value in module.state_dict().values():
        if isinstance(value, Tensor):  # get_extra_state() may return anything
            sent = value.contiguous()
            broadcast(sent)
            value.copy_(sent)


@contextmanager
def raise_on_all_ranks() -> Iterator[None]:
    """Raise an error of one rank on all ranks, so that none waits for a rank that has failed.

    All ranks synchronise at the end of the block; the block itself must not communicate.

    Raises:
        SharedError: if another rank has failed, or this one with an ``InputError``; rank 0 prints
            the errors, with their ranks if they differ.
    """
    if get_world_size() == 1:
        yield
        return
    own, line = None, None
    try:
        yield
    except Exception as error:
        own, line = error, error_line(error)
        if not isinstance(error, InputError):
            line = f"{type(error).__name__}: {line}"
    lines = all_gather_object(line)
    if any(lines):
        if own is not None and not isinstance(own, InputError):
            raise own
        shared = SharedError(_summary(lines))
        shared.tell = is_main_process()
        raise shared from own


def _summary(lines: list[str | None]) -> str:
    """Summarise errors in one line: the one of all, or the different ones with their ranks."""
    ranks: dict[str, int] = {}
    for rank, line in enumerate(lines):
        if line:
            ranks.setdefault(line, rank)
    if len(ranks) == 1 and lines[0]:
        return next(iter(ranks))
    return "; ".join(f"rank {rank}: {line}" for line, rank in ranks.items())


@contextmanager
def name_failing_rank() -> Iterator[None]:
    """Add the rank to the errors of a block, and report that another rank has ended.

    Raises:
        RankError: instead of an ``InputError``, and if communication fails.
        InputError: if workers of a data loader have died.
    """
    try:
        with loader_errors():
            yield
    except RankError:
        raise
    except InputError as error:
        if get_world_size() == 1:
            raise
        raise RankError(f"rank {get_rank()}: {error}") from error
    except RuntimeError as error:
        # gloo has no error class; its messages contain the path of its source file.
        if not (isinstance(error, distributed.DistError) or "gloo/" in str(error)):
            raise
        raise RankError(
            f"rank {get_rank()}: lost contact with the other ranks: one of them has ended, "
            "and says why if it could"
        ) from error
