"""Processes of the benchmark that are this one: another would import torch for seconds."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.measure import answer


@pytest.fixture
def no_processes(monkeypatch):
    """``python -m benchmarks.measure`` is a call, and a pool of processes one of threads."""

    def run(command, **_):
        answer(*command[-3:])
        return subprocess.CompletedProcess(command, 0, stderr="")

    def pool(workers, **_):
        return ThreadPoolExecutor(workers)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("benchmarks.evaluation.ProcessPoolExecutor", pool)
