"""Measure training steps and describe the measurement."""

import re

import numpy as np
import pytest
import torch

from benchmarks import measure
from benchmarks.machine import commit, data_sheet_rate, machine, matmul_rate, peak_rate
from benchmarks.training import PLAIN, TrainingSettings, Workload
from mmseg.utils import InputError
from tests.benchmarks.small_training import SIDE, small_config
from tools.common.options import fast_switches

CPU = torch.device("cpu")


def test_result():
    work = Workload(crop=SIDE, iters=3, warmup=1)
    result = measure.measure_training(small_config(), work, TrainingSettings(), CPU)
    seconds = result["seconds"]
    assert len(seconds["each"]) == 3
    assert seconds["median"] == np.median(seconds["each"])
    assert seconds["p10"] <= seconds["median"] <= seconds["p90"]
    assert result["images_per_second"] == 4 / seconds["median"]
    assert 50 < result["peak_memory_mib"]["resident"] < 1e5
    flops = result["flops"]
    assert flops["per_second"] == flops["step"] / seconds["median"]
    assert (flops["peak_per_second"], flops["peak_source"]) == peak_rate(CPU, "fp32")
    assert flops["peak_source"] == "measured"
    assert flops["share_of_peak"] == pytest.approx(flops["per_second"] / flops["peak_per_second"])
    assert result["title"] == "SePiCo"
    assert result["workload"]["crop"] == SIDE
    assert result["machine"]["device"] == "cpu"


def test_source_only_has_one_domain():
    work = Workload(crop=SIDE, iters=1, warmup=0)
    result = measure.measure_training(small_config("SourceOnly"), work, TrainingSettings(), CPU)
    assert result["images_per_second"] == 2 / result["seconds"]["median"]
    assert list(result["phases"]) == ["source", "optimizer", "rest"]


def test_night_learns_from_the_day_too():
    night = small_config("SePiCoDark", shift_insensitive_classes=[(0, 2)])
    work = Workload(crop=SIDE, iters=1, warmup=0)
    result = measure.measure_training(night, work, TrainingSettings(), CPU)
    by_day = measure.measure_training(small_config(), work, TrainingSettings(), CPU)
    assert result["flops"]["step"] > by_day["flops"]["step"]


def test_crops_are_sized_in_a_copy():
    cfg = small_config()
    small = measure.sized(cfg, SIDE).model
    assert (small.crop_size, small.data_preprocessor.size) == ((SIDE, SIDE), (SIDE, SIDE))
    assert cfg.model.crop_size == (64, 64)


def test_peaks():
    def known(name: str, precision: str) -> float | None:
        rate = data_sheet_rate(name, precision)
        return None if rate is None else rate / 1e12

    assert known("NVIDIA H200", "bf16") == known("NVIDIA H100 80GB HBM3", "fp16") == 989
    assert known("NVIDIA H100 PCIe", "tf32") == 378
    assert known("NVIDIA A100-SXM4-80GB", "fp32") == 19.5
    assert known("Tesla V100-SXM2-16GB", "fp16") == 125
    assert known("NVIDIA GeForce RTX 4090", "tf32") == 82.6
    for unknown in (
        "NVIDIA A1000",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA H100 MIG 1g.10gb",
    ):
        assert known(unknown, "bf16") is None
    assert known("Tesla V100-SXM2-16GB", "tf32") is None
    assert known("Tesla T4", "fp16") == 65 and known("Tesla T4", "bf16") is None  # no bf16 units


def test_machine():
    facts = machine(CPU)
    assert facts["threads"] == torch.get_num_threads()
    assert facts["hardware"]
    assert facts["commit"] == commit()
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?|unknown", facts["commit"])
    assert matmul_rate(CPU, torch.float32, rounds=1) > 1e8


def test_settings():
    assert TrainingSettings.of(
        {"performance": {"precision": "bf16"}}, {"compile": True}
    ) == TrainingSettings(precision="bf16", compile=True)
    plain = TrainingSettings.of({"performance": {"channels_last": True}}, PLAIN)
    assert plain.describe() == "fp32, eager, maths attention, unfused optimizer"
    cuda = fast_switches("cuda")
    assert TrainingSettings(**cuda).describe() == "bf16, compiled, channels last"
    assert TrainingSettings.of({}, cuda, {"compile": False}).compile is False


def test_mistakes():
    for change, message in (
        ({"crop": 8}, "--crop 8: must be at least 32"),
        ({"iters": 0}, "--iters 0: must be at least 1"),
        ({"start_contrast": -1}, "--start-contrast -1: must be at least 0"),
    ):
        with pytest.raises(InputError, match=f"^{message}$"):
            Workload(**change)
    cfg = small_config()
    cfg.pop("optim_wrapper")
    with pytest.raises(InputError, match="no optim_wrapper: measure a training config"):
        measure.sized(cfg, SIDE)
    cfg = small_config()
    cfg.model = cfg.model.segmentor
    with pytest.raises(InputError, match="EncoderDecoderProjector, but this needs a domain-"):
        measure.sized(cfg, SIDE)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_gpu(precision):
    work = Workload(crop=SIDE, iters=3, warmup=1)
    settings = TrainingSettings(precision=precision, channels_last=True)
    result = measure.measure_training(small_config(), work, settings, torch.device("cuda"))
    memory = result["peak_memory_mib"]
    assert 0 < memory["allocated"] <= memory["reserved"]
    assert min(result["seconds"]["each"]) > 0
    parts = {name: value for name, value in result["phases"].items() if name != "contrast"}
    assert sum(parts.values()) == pytest.approx(np.mean(result["seconds"]["each"]), rel=0.01)
    assert 0 < result["phases"]["contrast"] < parts["source"] + parts["target"]
