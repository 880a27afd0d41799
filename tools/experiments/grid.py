"""Train the runs of a grid: one after the other, several at once, or as jobs of a cluster."""

import argparse
import multiprocessing
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event

from mmseg.utils import Interrupted

from .runs import (
    RESUME,
    Failure,
    Run,
    attempt,
    check_resumable,
    draw_toy_data,
    is_done,
    resolve,
    say,
    train_and_score,
)

#: Run -> why it failed, and the file that says more.
Failures = dict[Run, Failure]
SECONDS_TO_END = 20
BEFORE = "the run that it starts from has failed"


def train_grid(runs: list[Run], folder: Path, args: argparse.Namespace) -> Failures:
    """Train and score the runs; one that fails does not keep the others from running.

    Args:
        runs: the runs; a run comes after the one that it starts from.
        folder: folder for the output of runs in other processes.
        args: the command line of ``run_experiments.py``.

    Returns:
        The runs that have failed.
    """
    if args.resume:
        check_resumable(runs)
    compared = compared_runs(runs)
    if args.submit is None and args.parallel is None:
        return _one_after_the_other(runs, lambda run: train_and_score(run, args, run in compared))
    if args.resume:
        done = [run for run in runs if is_done(run, args, run in compared)]
        for run in done:
            say(f"{run.label}: already finished, in {run.work_dir}")
        runs = [run for run in runs if run not in done]
    for run in runs:  # once, before several processes need the data
        draw_toy_data(resolve(run, args))
    if args.submit is not None:
        from .submit import Cluster

        cluster = Cluster(folder / "jobs", args)
        count = args.parallel or (1 if args.submit == "local" else len(runs))

        def submit(run: Run, slot: Mapping[str, str], interrupted: Event) -> Failure | None:
            return cluster.run(run, run in compared, interrupted)

        return _at_once(runs, submit, [{}] * count, cluster.after_interruption)
    from .processes import run_in_process, slots_of

    slots = slots_of(args.parallel, args.gpus, args.device)

    def start(run: Run, slot: Mapping[str, str], interrupted: Event) -> Failure | None:
        name = re.sub(r"[^\w-]+", "_", run.label)
        return run_in_process(run, args, run in compared, slot, folder / "output" / f"{name}.log")

    return _at_once(runs, start, slots, RESUME)


def compared_runs(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that are compared: all but pretrainings."""
    started_from = {run.start_from for run in runs}
    return [run for run in runs if run not in started_from]


def _one_after_the_other(runs: Sequence[Run], work: Callable[[Run], None]) -> Failures:
    failures: Failures = {}
    for run in runs:
        if run.start_from in failures:
            failures[run] = Failure(BEFORE)
        elif (reason := attempt(partial(work, run))) is not None:
            failures[run] = Failure(reason, run.log())
    return failures


def _at_once(
    runs: Sequence[Run],
    start: Callable[[Run, Mapping[str, str], Event], Failure | None],
    slots: Sequence[Mapping[str, str]],
    advice: str,
) -> Failures:
    """Start each run when the one that it starts from has ended and a slot is free.

    Args:
        runs: the runs.
        start: function of a run, a slot and an event that says that the user has interrupted; it
            returns when the run has ended.
        slots: environments for runs at the same time.
        advice: what to say after an interruption.
    """
    free: Queue[Mapping[str, str]] = Queue()
    for slot in slots:
        free.put(slot)
    interrupted = Event()

    def work(run: Run, before: "Future[Failure | None] | None") -> Failure | None:
        if before is not None and before.result() is not None:
            return Failure(BEFORE)
        slot = free.get()
        try:
            if interrupted.is_set():
                return None
            failure = start(run, slot, interrupted)
        finally:
            free.put(slot)
        if not interrupted.is_set():
            say(f"{run.label}: {'failed' if failure else 'finished'}")
        return failure

    with ThreadPoolExecutor(len(runs) or 1) as pool:
        ended: dict[Run | None, Future[Failure | None]] = {}
        for run in runs:
            ended[run] = pool.submit(work, run, ended.get(run.start_from))
        try:
            found = {run: ended[run].result() for run in runs}
        except KeyboardInterrupt as error:
            interrupted.set()
            for process in multiprocessing.active_children():  # a terminal interrupts them too
                process.join(SECONDS_TO_END)
                process.terminate()
            raise Interrupted(advice) from error
    return {run: failure for run, failure in found.items() if failure is not None}
