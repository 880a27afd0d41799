"""Compare two settings, each measured in a separate process."""

import json

import pytest
import torch

from benchmarks.measure import measure_apart, reason_of
from benchmarks.report import ratios
from benchmarks.training import TrainingSettings, Workload
from mmseg.utils import InputError
from tests.benchmarks.small_training import SIDE, result, small_config
from tools import benchmark

CPU = torch.device("cpu")


def test_ratios():
    assert ratios(result(3.0, 1500.0), result(2.0, 1000.0)) == {"time": 1.5, "memory": 1.5}


def test_compare_refines_the_fast_setting(no_processes, tmp_path, capsys):
    small_config().dump(tmp_path / "c.json")
    options = ["--config", str(tmp_path / "c.json"), "--device", "cpu", "--compare"]
    options += ["--crop", str(SIDE), "--iters", "1", "--warmup", "0"]
    options += ["--activation-checkpointing", "--no-channels-last"]
    options += ["--precision", "fp32", "--json", str(tmp_path / "r.json")]
    benchmark.main(options)
    compared = json.loads((tmp_path / "r.json").read_text())
    plain, fast = (TrainingSettings(**compared[name]["settings"]) for name in ("plain", "fast"))
    assert plain.describe() == "fp32, eager, maths attention, unfused optimizer"
    chosen = (fast.precision, fast.channels_last, fast.activation_checkpointing)
    assert chosen == ("fp32", False, True)
    assert compared["ratios_of"] == ["plain", "fast"]
    assert compared["ratios"] == ratios(compared["plain"], compared["fast"])
    assert "plain / fast" in capsys.readouterr().out


def test_measuring_in_another_process(no_processes):
    """Another process, here replaced by this one, measures the given settings."""
    cfg = small_config()
    cfg.exp = 4
    settings = TrainingSettings(channels_last=True)
    work = Workload(crop=SIDE, iters=1, warmup=0)
    measured = measure_apart(cfg, work, settings, CPU, "fast")
    assert measured["settings"]["channels_last"] is True
    assert measured["workload"]["crop"] == SIDE
    assert measured["title"] == "experiment 4"
    json.dumps(measured)


def test_an_error_of_that_process_is_one_line():
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
    assert reason_of(-9, "warmed up\n") == "its process was ended by SIGKILL (out of memory?)"
    assert reason_of(-11, "") == "its process was ended by SIGSEGV"
    assert reason_of(3, "") == "its process ended with status 3"
