"""Share GPUs and cores among runs, and hand runs to SLURM."""

import argparse
import os
from pathlib import Path

import pytest
import torch

from mmseg.utils import InputError
from tools.common.grid_options import add_grid_options, minutes
from tools.experiments.processes import slots_of
from tools.experiments.runs import Run
from tools.experiments.submit import Cluster, check_cluster


def test_each_run_has_its_own_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert slots_of(2, 1, "auto") == [{"CUDA_VISIBLE_DEVICES": name} for name in ("0", "1")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,5,GPU-a,2")
    assert slots_of(2, 2, "cuda") == [{"CUDA_VISIBLE_DEVICES": name} for name in ("7,5", "GPU-a,2")]
    with pytest.raises(InputError, match="--parallel 3: this machine shows 4 GPUs, for 2 runs at"):
        slots_of(3, 2, "auto")


def test_runs_on_a_cpu_share_its_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert slots_of(3, 1, "cpu") == [{"OMP_NUM_THREADS": "2"}] * 3
    assert slots_of(9, 1, "cpu") == [{"OMP_NUM_THREADS": "1"}] * 9
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert slots_of(1, 1, "cpu") == [{"OMP_NUM_THREADS": "5"}]


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("12:00:00", 720), ("0:59:01", 60), ("1-00:30:00", 1470)],
)
def test_time_limits_as_slurm_writes_them(text, value):
    assert minutes(text) == value


@pytest.mark.parametrize("text", ["0", "1:30", "a day", "-5"])
def test_other_time_limits_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected MINUTES or HH:MM:SS"):
        minutes(text)


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """Put a ``sbatch`` that starts nothing, and a ``srun``, on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", "echo Submitted batch job 7"), ("srun", "exit 1")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return tmp_path


def test_a_job_of_slurm_has_the_options_of_the_command(slurm):
    check_cluster("slurm")
    parser = argparse.ArgumentParser()
    add_grid_options(parser)
    options = ["--submit", "slurm", "--partition", "a100", "--time", "2:00:00"]
    options += ["--slurm-options", "account=vision", "cpus_per_task=9"]
    args = parser.parse_args(options, argparse.Namespace(device="auto", gpus=2))
    run = Run(slurm / "c.json", slurm / "run", "SePiCo + MIC (40)", seed=1)
    job = Cluster(slurm / "jobs", args).submit(run, True)
    assert job.job_id == "7"
    script = (slurm / "jobs" / "7_submission.sh").read_text()
    given = {line.removeprefix("#SBATCH --") for line in script.splitlines() if "#SBATCH" in line}
    assert given >= {
        *("partition=a100", "time=120", "gpus-per-node=2", "nodes=1", "ntasks-per-node=1"),
        *("account=vision", "cpus-per-task=9", "job-name='SePiCo_+_MIC_(40)'"),
    }
    assert "\nexport SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK\n" in script
