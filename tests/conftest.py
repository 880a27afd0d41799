"""Provide fixtures for tests of the tools, such as toy scenes and a config to train on them."""

import logging
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

# MKL reads it at its first product. With AVX-512 and AMX its products round otherwise, and
# iterations of one recorded training amplify that to 1.2 % of a gradient norm (allowed: 1 %).
os.environ.setdefault("MKL_ENABLE_INSTRUCTIONS", "AVX2")


@pytest.fixture(autouse=True, scope="session")
def quick_start():
    """Start training as :func:`tests.training.start_quickly` does."""
    from tests.training import start_quickly

    with pytest.MonkeyPatch.context() as patch:
        start_quickly(patch)
        yield


@pytest.fixture
def formatted(monkeypatch):
    """Write configs as users see them, with lines of some length."""
    from tests.training import PRETTY_TEXT

    monkeypatch.setattr(Config, "pretty_text", PRETTY_TEXT)


def pytest_collection_modifyitems(items):
    """Skip the tests marked ``gpu`` where there is no CUDA device."""
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory) -> Path:
    """Make ``gta/`` with 12 images and ``cityscapes/`` with 8 for training and 4 for validation."""
    return small_toy_data(tmp_path_factory, "gta", "cityscapes")


@pytest.fixture(scope="session")
def toy_synthia_root(tmp_path_factory) -> Path:
    """Make the same with ``synthia/`` instead of ``gta/``."""
    return small_toy_data(tmp_path_factory, "synthia", "cityscapes")


@pytest.fixture(scope="session")
def toy_night_root(tmp_path_factory) -> Path:
    """Make ``cityscapes/`` (8 + 4 images) and ``dark_zurich/`` (8 pairs, 4 val, 3 test images).

    ``acdc/`` has 8, 4 and 4 images.
    """
    return small_toy_data(tmp_path_factory, "cityscapes", "dark_zurich", "acdc")


def small_toy_data(tmp_path_factory, *sets: str) -> Path:
    """Make a folder like ``data/toy`` that holds these sets, once for all test processes."""
    from demo.toy import ToySettings, make_toy_data

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    root = shared / "_".join(sets) / "toy"
    make_toy_data(root, ToySettings(12, 8, 4, 3), nproc=1, sets=sets)
    return root


@pytest.fixture
def toy_config(toy_root, tmp_path) -> Config:
    """Return the demo's SePiCo run with 10 iterations of 64x64 crops, in ``tmp_path/run``."""
    from tests.training import small_config

    return small_config(toy_root, tmp_path)


class Listener(logging.Handler):
    """A handler that keeps all log records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def messages(self, level: int) -> list[str]:
        """Return the messages of this level, in order."""
        return [record.getMessage() for record in self.records if record.levelno == level]


@pytest.fixture
def logged():
    """Attach a listener to mmengine's current logger."""
    listener, logger = Listener(), MMLogger.get_current_instance()
    logger.addHandler(listener)
    yield listener
    logger.removeHandler(listener)


@pytest.fixture
def capture_only(monkeypatch):
    """Let ``torch.compile`` run captured graphs, forward and backward, without generating code."""
    from torch._dynamo.utils import counters

    compile_module = torch.nn.Module.compile

    def compile_without_codegen(module: torch.nn.Module, **options) -> None:
        compile_module(module, backend="aot_eager", **options)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_without_codegen)
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()
