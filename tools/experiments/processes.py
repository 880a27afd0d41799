"""Train runs in separate processes of this machine, each with its own GPUs or CPU cores."""

import argparse
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import torch

from mmseg.utils import InputError
from mmseg.utils.environment import available_cores
from tools.common.processes import end_with_parent

from .runs import Failure, Run, attempt, say, train_and_score


def slots_of(count: int, gpus: int, device: str) -> list[dict[str, str]]:
    """Share the GPUs, or the cores of the CPU, among runs at the same time.

    Args:
        count: number of runs at the same time.
        gpus: number of GPUs of each run.
        device: "auto", "cuda" or "cpu".

    Returns:
        Environment variables for each of them.

    Raises:
        InputError: if there are fewer GPUs.
    """
    if device == "cpu" or not torch.cuda.is_available():
        threads = max(1, available_cores() // count)
        return [{"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}] * count
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = torch.cuda.device_count()
    names = shown.split(",")[:found] if shown else [str(i) for i in range(found)]
    if len(names) < count * gpus:
        raise InputError(
            f"--parallel {count}: this machine shows {len(names)} GPUs, for "
            f"{len(names) // gpus} runs at once; choose fewer, or --device cpu"
        )
    groups = [names[i * gpus : (i + 1) * gpus] for i in range(count)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(group)} for group in groups]


def run_in_process(
    run: Run, args: argparse.Namespace, compared: bool, slot: Mapping[str, str], log: Path
) -> Failure | None:
    """Train and score a run in a process, and wait for its end.

    Args:
        run: the run.
        args: the command line.
        compared: whether to score it.
        slot: environment variables of the process.
        log: file for its output.

    Returns:
        Why it has failed, if it has.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    where = ", ".join(f"{name}={value}" for name, value in slot.items())
    say(f"{run.label}: started with {where}, output in {log}")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(slot, log)) as pool:
        try:
            reason = pool.submit(attempt, partial(train_and_score, run, args, compared)).result()
        except BrokenProcessPool:
            reason = "its process was killed, perhaps for lack of memory"
    return None if reason is None else Failure(reason, log)


def _prepare(slot: Mapping[str, str], log: Path) -> None:
    """Prepare a process to train: environment, output, and an end with its parent."""
    end_with_parent()
    os.environ.update(slot)
    if "OMP_NUM_THREADS" in slot:
        torch.set_num_threads(int(slot["OMP_NUM_THREADS"]))
    # This process was spawned; its own children need not be.
    multiprocessing.set_start_method(None, force=True)
    with open(log, "ab") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
