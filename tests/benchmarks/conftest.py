"""Run the benchmark's processes in this one, as another would take seconds to import torch."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.measure import answer


@pytest.fixture
def no_processes(monkeypatch):
    """Replace ``python -m benchmarks.measure`` by a call, and the pool of processes by threads."""

    def run(command, **_):
        answer(*command[-3:])
        return subprocess.CompletedProcess(command, 0, stderr="")

    def pool(workers, **_):
        return ThreadPoolExecutor(workers)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("benchmarks.evaluation.ProcessPoolExecutor", pool)
