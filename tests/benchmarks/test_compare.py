"""Two settings, a process each."""

import json

import pytest
import torch

from benchmarks import measure
from benchmarks.measure import answer, compare, measure_apart, reason_of
from benchmarks.training import PLAIN, TrainingSettings, Workload
from mmseg.utils import InputError
from tests.benchmarks.small_training import SIDE, result, small_config

CPU = torch.device("cpu")


def test_ratios(monkeypatch):
    results = {"plain": result(3.0, 1500.0), "fast": result(2.0, 1000.0)}
    monkeypatch.setattr(measure, "measure_apart", lambda *args: results[args[-1]])
    settings = {"plain": TrainingSettings(**PLAIN), "fast": TrainingSettings()}
    compared = compare(small_config(), Workload(), settings, CPU)
    assert compared["ratios"] == {"time": 1.5, "memory": 1.5}
    assert compared["ratios_of"] == ["plain", "fast"]
    assert compared["fast"] is results["fast"]


def test_the_other_process(monkeypatch, tmp_path):
    """It measures what was asked for; here in this process."""
    monkeypatch.setattr(measure, "peak_rate", lambda *_: (1e12, "measured"))

    def run(command, **options):
        answer(*command[-3:])
        return type("Process", (), {"returncode": 0, "stderr": ""})

    monkeypatch.setattr(measure.subprocess, "run", run)
    cfg = small_config()
    cfg.exp = 4
    settings = TrainingSettings(channels_last=True)
    work = Workload(crop=SIDE, iters=1, warmup=0)
    measured = measure_apart(cfg, work, settings, CPU, "fast")
    assert measured["settings"]["channels_last"] is True
    assert measured["workload"]["crop"] == SIDE
    assert measured["title"] == "experiment 4"
    json.dumps(measured)


def test_its_error_is_one_line():
    cfg = small_config()
    cfg.model.alpah = 1
    with pytest.raises(InputError) as error:
        measure_apart(cfg, Workload(crop=SIDE), TrainingSettings(), CPU, "fast")
    assert str(error.value).startswith("the fast setting could not be measured: model")
    assert "alpah" in str(error.value) and "\n" not in str(error.value)


def test_reasons():
    trace = "Traceback:\n  File x\ntorch.OutOfMemoryError: CUDA out of memory.\n\n"
    assert reason_of(1, trace) == "torch.OutOfMemoryError: CUDA out of memory."
    assert reason_of(1, "warmed up\nerror: no weights\n") == "no weights"
    assert reason_of(-9, "warmed up\n") == "its process was ended by SIGKILL (for want of memory?)"
    assert reason_of(-11, "") == "its process was ended by SIGSEGV"
    assert reason_of(3, "") == "its process ended with status 3"
