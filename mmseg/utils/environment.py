"""Describe what a program runs on: hardware and versions."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

# Packages on which results or speed depend, by the name under which they are installed.
PACKAGES = ("torch", "torchvision", "onedl-mmengine", "onedl-mmcv", "timm", "kornia", "numpy")


def hardware(device: torch.device) -> str:
    """Return the model of the GPU or the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def available_cores() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(device: torch.device) -> dict[str, Any]:
    """Return hardware, operating system and versions, for JSON.

    Args:
        device: device that the program uses.
    """
    found = {
        "device": device.type,
        "hardware": hardware(device),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }
    if device.type == "cuda":
        found |= {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # installed under another name
        return "unknown"
