"""Start the processes of a distributed run on this machine."""

import logging
import multiprocessing
import os
import signal
import traceback
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from mmseg.utils import InputError, Interrupted
from mmseg.utils.cli import run_main
from mmseg.utils.environment import available_cores

_HANDLED_BY_TORCH = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def check_processes(count: int, device: str) -> None:
    """Check that ``count`` processes can have a GPU each, unless they run on the CPU.

    Args:
        count: number of processes.
        device: "auto", "cuda" or "cpu".

    Raises:
        InputError: if there are fewer GPUs.
    """
    if count < 1:
        raise InputError(f"--gpus must be at least 1, not {count}")
    gpus = torch.cuda.device_count()
    if count > 1 and device != "cpu" and gpus < count:
        raise InputError(
            f"--gpus {count}: this machine shows {gpus} GPUs (CUDA_VISIBLE_DEVICES chooses among "
            "those it has); --device cpu trains with as many processes on the CPU"
        )


def launch(function: Callable, *args: Any, processes: int, device: str) -> None:
    """Call ``function(*args)`` in several processes, as ``torchrun --standalone`` would.

    Each process starts and fails like a separate program (:func:`run_main`). When one fails the
    others are terminated.

    Args:
        function: a picklable function of a module.
        args: its picklable arguments.
        processes: number of processes; the environment of each holds its rank, as for the launcher
            "pytorch".
        device: as for :func:`check_processes`; on a CPU the processes share the cores.

    Raises:
        SystemExit: if a process has failed, with its status.
        InputError: if a process was killed; see also :func:`check_processes`.
    """
    check_processes(processes, device)
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    threads = max(1, available_cores() // processes) if on_cpu else 1
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=uuid.uuid4().hex,
        max_restarts=0,
    )
    # The process itself, or the error below, says what went wrong; torch would log it at length.
    logged_from = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    handlers = {number: signal.getsignal(number) for number in _HANDLED_BY_TORCH}
    try:
        elastic_launch(settings, _as_program)(threads, function, *args)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            raise SystemExit(failure.exitcode) from None
        raise InputError(
            f"rank {rank} of {processes} was killed ({failure.signal_name()}), and so the run "
            "has ended: --resume goes on from its last checkpoint"
        ) from None
    except SignalException as error:
        # Rank 0 has been sent SIGINT too, and has reported it.
        raise Interrupted(tell=error.sigval != signal.SIGINT) from error
    finally:
        logging.disable(logged_from)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _as_program(threads: int, function: Callable, *args: Any) -> None:
    threads = int(os.environ.setdefault("OMP_NUM_THREADS", str(threads)))
    torch.set_num_threads(threads)
    # This process was spawned; its own children need not be.
    multiprocessing.set_start_method(None, force=True)
    try:
        run_main(partial(function, *args))
    except SystemExit as end:
        if end.code:
            raise
    except Exception:
        # torch would write a raised error only to a log file.
        traceback.print_exc()
        raise SystemExit(1) from None
