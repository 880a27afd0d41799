"""Hand the runs of a grid to SLURM, or to processes of this machine, through submitit."""

import argparse
import os
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from mmseg.utils import InputError

from .runs import RESUME, Failure, Run, attempt, say, train_and_score

if TYPE_CHECKING:
    import submitit

ROOT = Path(__file__).resolve().parents[2]
# Time limits of jobs if the user gives none. submitit needs one, so on this machine it is a year.
MINUTES = {"slurm": 24 * 60, "local": 365 * 24 * 60}
#: Processes that load images, in addition to the one that trains, for each GPU.
CPUS_PER_GPU = 6


def check_cluster(cluster: str) -> None:
    """Check that jobs can be submitted from here.

    Args:
        cluster: "slurm" or "local".

    Raises:
        InputError: if submitit is missing, or there is no SLURM.
    """
    try:
        import submitit
    except ImportError:
        raise InputError(
            "--submit needs submitit: pip install -r requirements-features.txt"
        ) from None
    if cluster == "slurm" and submitit.SlurmExecutor.affinity() < 0:
        raise InputError(
            "--submit slurm: there is no srun here; start on a login node of the cluster, or with "
            "--parallel on this machine"
        )


class Cluster:
    """Jobs that train one run each.

    Args:
        folder: folder for the files of the jobs, which all machines have to see.
        args: the command line: ``submit`` ("slurm" or "local"), ``parallel``, ``partition``,
            ``time``, ``slurm_options``, ``gpus``.
    """

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        import submitit

        self.args, self.submitting = args, Lock()
        # Jobs inherit the environment, and import this module from wherever they are started.
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if str(ROOT) not in paths:
            os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, paths)])
        self.executor = submitit.AutoExecutor(folder, cluster=args.submit)
        self.uncompleted = submitit.core.utils.UncompletedJobError
        self.executor.update_parameters(
            timeout_min=args.time or MINUTES[args.submit], nodes=1, tasks_per_node=1
        )
        if args.submit == "slurm":
            gpus = 0 if args.device == "cpu" else args.gpus
            options: dict[str, Any] = {"slurm_partition": args.partition} if args.partition else {}
            self.executor.update_parameters(
                gpus_per_node=gpus,
                cpus_per_task=CPUS_PER_GPU * args.gpus,
                # srun of SLURM 22.05 and newer does not take it from sbatch.
                slurm_setup=["export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"],
                slurm_additional_parameters=args.slurm_options,
                **options,
            )

    def submit(self, run: Run, compared: bool) -> "submitit.Job[str | None]":
        """Submit a job that trains a run and, if it is compared, scores it."""
        with self.submitting:
            self.executor.update_parameters(name=run.title.replace(" ", "_"))
            return self.executor.submit(train_job, run, self.args, compared)

    @property
    def after_interruption(self) -> str:
        """What to say when the user has interrupted the waiting."""
        if self.args.submit == "local":
            return RESUME
        return f"jobs of SLURM train on, scancel ends them; when they have ended, {RESUME}"

    def run(self, run: Run, compared: bool, interrupted: Event) -> Failure | None:
        """Submit a run, and wait for its end or an interruption.

        Returns:
            Why it has failed, if it has.
        """
        job = self.submit(run, compared)
        say(f"{run.label}: job {job.job_id}, output in {job.paths.stdout}")
        while not job.done():
            if interrupted.wait(1):
                if self.args.submit == "local":
                    job.cancel()
                return None
        try:
            reason = job.result()
        except self.uncompleted:
            reason = f"job {job.job_id} ended without a result ({job.state})"
        return None if reason is None else Failure(reason, Path(job.paths.stderr))


def train_job(run: Run, args: argparse.Namespace, compared: bool) -> str | None:
    """Train and score a run as a job; return its error as one line, if it has failed."""
    return attempt(partial(train_and_score, run, args, compared))
