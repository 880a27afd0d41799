"""What a grid of runs ends with: a comparison for each task, videos, and the runs that failed."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .grid import Failures, compared_runs
from .runs import RESUME, Run

if TYPE_CHECKING:
    from .compare import Scored


def compare_tasks(
    runs: Sequence[Run], failures: Failures, folder: Path, baseline: str, device: str
) -> None:
    """Compare the last weights of the runs of each task in tables and pictures, and print them.

    Args:
        runs: all runs of the grid.
        failures: those that have failed, which are left out.
        folder: folder of the tables.
        baseline: title of the runs that the others are compared with.
        device: see :func:`~mmseg.apis.evaluate_on`.
    """
    from .compare import compare, score

    trained = [run for run in compared_runs(runs) if run not in failures]
    tasks = dict.fromkeys(run.task for run in runs)
    for task in tasks:
        scored = {run: score(run.resolved, device) for run in trained if run.task == task}
        if not scored:
            continue
        name = "comparison" if len(tasks) == 1 else re.sub(r"\W+", "_", task)
        seeds = _by_seed(scored)
        found = compare(seeds, folder, name, baseline)
        of_task = [run for run in runs if run.task == task]
        print(f"\n{_heading(of_task, seeds)}\n\n{found.table}\n")
        print("\n".join(f"{what}: {path}" for path, what in found.files.items()), flush=True)
    for run in trained:
        if run.video:
            from .video import predict_video

            for path in predict_video(run.resolved, run.video, device):
                print(f"video of {run.label}: {path}", flush=True)


def _by_seed(scored: "Mapping[Run, Scored]") -> "dict[str, dict[str, Scored]]":
    """Sort runs by the seed that was asked for; runs with seeds of their own stand together."""
    own = dict.fromkeys(str(each.cfg.randomness.seed) for each in scored.values())
    seeds: dict[str, dict[str, Scored]] = {}
    for run, each in scored.items():
        heading = f"seed {' '.join(own) if run.seed is None else run.seed}"
        seeds.setdefault(heading, {})[run.title] = each
    return seeds


def _heading(runs: Sequence[Run], seeds: "Mapping[str, Mapping[str, Scored]]") -> str:
    """Say what a table shows.

    Args:
        runs: all runs of a task.
        seeds: heading of a seed -> title -> those that are in the table.
    """
    from .compare import labelled_classes

    methods = next(iter(seeds.values()))
    scored = next(iter(methods.values()))
    text = f"{runs[0].task}: IoU in percent on the target's validation images"
    labelled, classes = len(labelled_classes(scored)), len(scored.result["per_class"])
    text += (
        f", which show {labelled} of {classes} classes (mIoU_gt)." if labelled < classes else "."
    )
    if len(seeds) > 1:
        text += f" Mean ± standard deviation of {len(seeds)} seeds."
    if pretraining := runs[-1].start_from:
        iterations = scored.cfg.train_cfg.max_iters
        text += (
            f" {'Both' if len(methods) == 2 else 'All'} started from the same weights, trained on "
            f"the source ({pretraining.title}), and trained {iterations} more iterations."
        )
    return text


def name_failures(failures: Failures, count: int) -> None:
    """Name the runs that have failed, out of ``count``, and their logs on stderr."""
    if not failures:
        return
    print(f"\n{len(failures)} of {count} runs failed:", file=sys.stderr)
    for run, failure in failures.items():
        log = f"; log: {failure.log}" if failure.log else ""
        print(f"  {run.label}: {failure.reason}{log}", file=sys.stderr)
    print(RESUME, file=sys.stderr)
