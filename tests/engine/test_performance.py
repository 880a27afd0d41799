"""What the switches of speed and memory ask of the machine."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmseg.engine import performance
from mmseg.engine.performance import Performance
from mmseg.utils import InputError


@pytest.fixture
def on_a_gpu():
    """A layer on a GPU that is not there."""
    with FakeTensorMode():
        return nn.Linear(1, 1, device="cuda")


def test_compiling_for_a_gpu_needs_a_compiler(on_a_gpu, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(performance.shutil, "which", lambda program: program == "clang" or None)
    Performance(compile=True).apply(on_a_gpu)
    monkeypatch.setattr(performance.shutil, "which", lambda program: None)
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
