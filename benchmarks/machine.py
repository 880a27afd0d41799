"""Describe the machine of a measurement, and its peak speed."""

import re
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch

from mmseg.utils.environment import hardware

ROOT = Path(__file__).resolve().parents[1]

# Peak TFLOP/s of dense matrix products according to data sheets: half precision accumulated in
# float32 (fp16, and bf16 on GPUs that support it), TF32, float32. The first entry whose name
# is part of the device's name is used.
PEAKS: tuple[tuple[str, dict[str, float]], ...] = (
    ("H200 NVL", {"half": 835, "tf32": 418, "fp32": 60}),
    ("H200", {"half": 989, "tf32": 494, "fp32": 67}),
    ("H100 NVL", {"half": 835, "tf32": 418, "fp32": 60}),
    ("H100 PCIe", {"half": 756, "tf32": 378, "fp32": 51}),
    ("H100", {"half": 989, "tf32": 494, "fp32": 67}),
    ("A100", {"half": 312, "tf32": 156, "fp32": 19.5}),
    ("A40", {"half": 149.7, "tf32": 74.8, "fp32": 37.4}),
    ("L40S", {"half": 362, "tf32": 183, "fp32": 91.6}),
    ("RTX A6000", {"half": 154.8, "tf32": 77.4, "fp32": 38.7}),
    ("RTX 4090", {"half": 165.2, "tf32": 82.6, "fp32": 82.6}),
    ("RTX 3090", {"half": 71, "tf32": 35.6, "fp32": 35.6}),
    ("V100-PCIE", {"fp16": 112, "fp32": 14}),
    ("V100", {"fp16": 125, "fp32": 15.7}),
    ("T4", {"fp16": 65, "fp32": 8.1}),
)
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def machine(device: torch.device) -> dict[str, Any]:
    """Return hardware, threads, versions and the commit, marked ``-dirty`` if files differ."""
    return {
        "device": device.type,
        "hardware": hardware(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": commit(),
    }


def commit() -> str:
    """Return the short commit of the project, or "unknown" outside a clone."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def peak_rate(device: torch.device, precision: str) -> tuple[float, str]:
    """Return the device's peak FLOP/s and its origin: "data sheet" or "measured"."""
    known = data_sheet_rate(hardware(device), precision) if device.type == "cuda" else None
    if known is not None:
        return known, "data sheet"
    return matmul_rate(device, _DTYPES.get(precision, torch.float32)), "measured"


def data_sheet_rate(name: str, precision: str) -> float | None:
    """Look up the peak FLOP/s of a GPU; return None if it is not in ``PEAKS``.

    Laptop GPUs and partitions of a GPU are not in it: they are slower than their names suggest.
    """
    if re.search(r"Laptop|MIG|Max-Q|4090 D|\bTi\b|-\d+[QC]\b", name):
        return None
    known = next((peaks for part, peaks in PEAKS if re.search(rf"\b{part}\b", name)), {})
    kinds = (precision, "half") if precision in _DTYPES else (precision,)
    return next((known[kind] * 1e12 for kind in kinds if kind in known), None)


@cache
def matmul_rate(device: torch.device, dtype: torch.dtype, rounds: int = 5) -> float:
    """Measure the FLOP/s of products of large square matrices; the fastest round counts."""
    side = 8192 if device.type == "cuda" else 1536
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    fastest = float("inf")
    for _ in range(rounds):
        _synchronize(device)
        start = time.perf_counter()
        a @ b
        _synchronize(device)
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * side**3 / fastest


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
