"""Measure several settings, each in a process of its own, whose memory nothing else has raised."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmseg.utils import InputError
from mmseg.utils.config import load_config

from .machine import ROOT
from .measure import measure_training, title
from .report import ratios, write_json
from .settings import Settings, Workload
from .step import note


def compare(
    cfg: Config, workload: Workload, settings: Mapping[str, Settings], device: torch.device
) -> dict[str, Any]:
    """Measure two settings in turn.

    Args:
        cfg: a whole config of a domain-adaptation method. settings: by name.

    Returns:
        ``benchmark``, for each name what :func:`measure_training` returns, ``ratios_of`` (the two
        names) and under ``ratios`` how many times as much ``time`` and ``memory`` the first takes.

    Raises:
        InputError: one of the processes failed.
    """
    results = {}
    for name, setting in settings.items():
        note(f"{name}: {setting.describe()}")
        results[name] = measure_apart(cfg, workload, setting, device, name)
    return {
        "benchmark": "comparison",
        **results,
        "ratios_of": list(results),
        "ratios": ratios(*results.values()),
    }


def measure_apart(
    cfg: Config, workload: Workload, settings: Settings, device: torch.device, name: str
) -> dict[str, Any]:
    """:func:`measure_training` in a new process.

    Args:
        name: of the settings, for errors.

    Raises:
        InputError: the process failed; the message ends with the last line of its stderr.
    """
    request = {
        "title": title(cfg),
        "workload": asdict(workload),
        "settings": asdict(settings),
        "device": device.type,
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("config.py", "request.json", "result.json")]
        cfg.dump(paths[0])
        write_json(paths[1], request)
        command = [sys.executable, "-m", "benchmarks", *map(str, paths)]
        process = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if process.returncode:
            reason = reason_of(process.returncode, process.stderr)
            raise InputError(f"the {name} setting could not be measured: {reason}")
        return json.loads(paths[2].read_text())


def reason_of(status: int, stderr: str) -> str:
    """Why a process has ended with this status, in one line."""
    if status < 0:
        killed = " (for want of memory?)" if -status == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-status).name}{killed}"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else f"its process ended with status {status}"


def answer(
    config: str | os.PathLike, request: str | os.PathLike, result: str | os.PathLike
) -> None:
    """What the other process does: measure as the request says, and write the result."""
    asked = json.loads(Path(request).read_text())
    cfg = load_config(config)
    workload, settings = Workload(**asked["workload"]), Settings(**asked["settings"])
    measured = measure_training(cfg, workload, settings, torch.device(asked["device"]))
    write_json(result, measured | {"title": asked["title"]})
