"""Check what the switches for speed and memory require of the machine."""

import argparse
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmseg.engine.performance import Performance
from mmseg.utils import InputError
from tools.common.options import add_performance_options, chosen_performance, cpu_multiplies_bf16


@pytest.fixture
def on_a_gpu():
    """Return a layer on a fake GPU."""
    with FakeTensorMode():
        return nn.Linear(1, 1, device="cuda")


def test_compiling_for_a_gpu_needs_a_compiler(on_a_gpu, monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    compiler = tmp_path / "clang"
    compiler.touch(0o755)
    Performance(compile=True).apply(on_a_gpu)
    compiler.unlink()
    with pytest.raises(InputError, match="needs a C compiler.* leave out --compile"):
        Performance(compile=True).apply(on_a_gpu)
    Performance().apply(on_a_gpu)
    Performance(compile=True).apply(nn.Linear(1, 1))
    monkeypatch.setenv("CC", "my-cc")
    with pytest.raises(InputError, match="there is no my-cc: install"):
        Performance(compile=True).apply(on_a_gpu)


def test_a_gpu_without_bf16(on_a_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    with pytest.raises(InputError, match="Tesla T4 has no bf16: choose --amp fp16"):
        Performance(precision="bf16").apply(on_a_gpu)
    Performance(precision="fp16").apply(on_a_gpu)


def test_fast_on_a_cpu_takes_bf16_where_it_is_faster():
    parser = argparse.ArgumentParser()
    add_performance_options(parser)
    args = parser.parse_args(["--fast"], argparse.Namespace(device="cpu"))
    precision = "bf16" if cpu_multiplies_bf16() else "fp32"
    assert chosen_performance(args) == {"precision": precision, "channels_last": True}
    args = parser.parse_args(["--fast", "--amp", "fp16"], argparse.Namespace(device="cpu"))
    assert chosen_performance(args) == {"precision": "fp16", "channels_last": True}


CPU_INFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPU_INFO.is_file(), reason="asks Linux what the processor can do")
def test_bf16_is_faster_where_there_are_instructions_for_it():
    flags = set(CPU_INFO.read_text().split())
    if {"avx512_bf16", "amx_bf16"} & flags:
        assert cpu_multiplies_bf16()
    elif "avx2" in flags:
        assert not cpu_multiplies_bf16()
