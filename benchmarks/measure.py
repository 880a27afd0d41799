"""Measure training steps of a config, in this process or in a separate one for each setting.

A separate process, ``python -m benchmarks.measure CONFIG REQUEST RESULT``, makes the peak memory
meaningful.
"""

import copy
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

import numpy as np
import torch
from mmengine.config import Config

from mmseg.engine.hooks.deferred_log_hook import peak_memory_mb
from mmseg.models.uda import UDADecorator, method_class
from mmseg.utils import InputError
from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config
from mmseg.utils.phases import PhaseClock

from .machine import ROOT, machine, peak_rate
from .report import ratios, write_json
from .step import TrainingStep, count_step_flops, note, pinned, synthetic_batch, time_steps
from .training import TrainingSettings, Workload

DIFFERENT_BATCHES = 4
# Names of the phases of a step in results.
PHASES = {
    "teacher": "teacher",
    "crop": "crop",
    "statistics": "statistics",
    "src": "source",
    "tgt": "target",
    "mix": "mix",
    "optimizer": "optimizer",
}


def measure_training(
    cfg: Config, workload: Workload, settings: TrainingSettings, device: torch.device
) -> dict[str, Any]:
    """Measure training steps in this process.

    On a CPU, peak memory is that of the process since its start.

    Args:
        cfg: a whole config of a domain-adaptation method; it is not changed.

    Returns:
        What was run (``benchmark``, ``title``, ``machine``, ``workload``, ``settings``) and, as
        numbers, ``seconds`` of a step (``median``, ``p10``, ``p90``, ``each``),
        ``images_per_second``, ``peak_memory_mib``, ``flops`` and the mean seconds of the ``phases``
        of a step.

    Raises:
        InputError: if the config has no such method, it does not work on crops of this size, or the
            device runs out of memory.
    """
    cfg = sized(cfg, workload.crop)
    step = TrainingStep(cfg, settings, device)
    batches = synthetic_batches(step.model, workload)
    on_device = [pinned(batch) for batch in batches] if device.type == "cuda" else batches
    clock = PhaseClock(device)

    def warm() -> None:
        note(f"warmed up; {workload.iters} steps follow")
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    try:
        seconds, phases = time_steps(step, on_device, workload, clock, warm)
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(
            f"{machine(device)['hardware']} is out of memory: try a smaller --crop or --batch, "
            "--precision bf16, or --activation-checkpointing"
        ) from error
    memory = peak_memory(device)
    peak, source = peak_rate(device, settings.precision)  # before counting, which sets no TF32
    flops = count_step_flops(cfg, batches[0])
    times = spread(seconds)
    median = times["median"]
    domains = 2 if step.model.TARGET_VIEWS else 1
    return {
        "benchmark": "training",
        "title": title(cfg),
        "machine": machine(device),
        "workload": asdict(workload),
        "settings": asdict(settings),
        "seconds": times,
        "images_per_second": domains * workload.batch / median,
        "peak_memory_mib": memory,
        "flops": {
            "step": flops,
            "per_second": flops / median,
            "peak_per_second": peak,
            "peak_source": source,
            "share_of_peak": flops / median / peak,
        },
        "phases": mean_phases(phases, seconds),
    }


def spread(seconds: list[float]) -> dict[str, Any]:
    """Return ``median``, ``p10``, ``p90`` and ``each`` of the times."""
    p10, median, p90 = (float(np.percentile(seconds, share)) for share in (10, 50, 90))
    return {"median": median, "p10": p10, "p90": p90, "each": seconds}


def sized(cfg: Config, crop: int) -> Config:
    """Copy a config, and make its method work on square crops.

    Raises:
        InputError: if the config has no method to train.
    """
    cfg = copy.deepcopy(cfg)
    for key in ("model", "optim_wrapper"):
        if not isinstance(cfg.get(key), dict):
            raise InputError(f"the config has no {key}: measure a training config")
    method_class(cfg.model).set_crop_size(cfg.model, crop)
    return cfg


def synthetic_batches(model: UDADecorator, workload: Workload) -> list[dict[str, Any]]:
    """Make some batches to rotate, with the views of the target that the method learns from."""
    return [
        synthetic_batch(
            model.model.num_classes,
            workload.crop,
            workload.batch,
            model.TARGET_VIEWS,
            workload.seed + index,
            model.crops_target,
        )
        for index in range(DIFFERENT_BATCHES)
    ]


def title(cfg: Config) -> str:
    """Name what is measured: an experiment, or the file of the config."""
    if "exp" in cfg:
        return f"experiment {cfg.exp}"
    return Path(cfg.filename).name if cfg.filename else cfg.model.type


def peak_memory(device: torch.device) -> dict[str, float]:
    """Return the peak MiB of CUDA tensors and of torch's pool for them, or of the process."""
    if device.type != "cuda":
        return {"resident": peak_memory_mb()}
    return {
        "allocated": torch.cuda.max_memory_allocated() / 2**20,
        "reserved": torch.cuda.max_memory_reserved() / 2**20,
    }


def mean_phases(total: Mapping[str, float], seconds: list[float]) -> dict[str, float]:
    """Return the mean seconds of each phase in a step; ``rest`` is the time outside all phases.

    ``contrast``, if there is any, is a part of source and target and is not added to them.
    """
    names = dict.fromkeys([*PHASES, *total])  # in this order
    phases = {
        PHASES.get(name, name): total[name] / len(seconds)
        for name in names
        if name in total and name != "contrast"
    }
    phases["rest"] = max(0.0, float(np.mean(seconds)) - sum(phases.values()))
    if "contrast" in total:
        phases["contrast"] = total["contrast"] / len(seconds)
    return phases


def compare(
    cfg: Config, workload: Workload, settings: Mapping[str, TrainingSettings], device: torch.device
) -> dict[str, Any]:
    """Measure two settings in turn.

    Args:
        cfg: a whole config of a domain-adaptation method.
        settings: the two settings by name.

    Returns:
        ``benchmark``, for each name what :func:`measure_training` returns, ``ratios_of`` (the two
        names) and under ``ratios`` how many times as much ``time`` and ``memory`` the first takes.

    Raises:
        InputError: if one of the processes fails.
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
    cfg: Config, workload: Workload, settings: TrainingSettings, device: torch.device, name: str
) -> dict[str, Any]:
    """Run :func:`measure_training` in a new process.

    Args:
        name: name of the settings, for errors.

    Raises:
        InputError: if the process fails; the message ends with the last line of its stderr.
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
        command = [sys.executable, "-m", "benchmarks.measure", *map(str, paths)]
        process = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if process.returncode:
            reason = reason_of(process.returncode, process.stderr)
            raise InputError(f"the {name} setting could not be measured: {reason}")
        return json.loads(paths[2].read_text())


def reason_of(status: int, stderr: str) -> str:
    """Describe in one line why a process ended with this status."""
    if status < 0:
        killed = " (out of memory?)" if -status == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-status).name}{killed}"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else f"its process ended with status {status}"


def answer(
    config: str | os.PathLike, request: str | os.PathLike, result: str | os.PathLike
) -> None:
    """Measure what a request asks for, in the separate process, and write the result."""
    asked = json.loads(Path(request).read_text())
    cfg = load_config(config)
    workload, settings = Workload(**asked["workload"]), TrainingSettings(**asked["settings"])
    measured = measure_training(cfg, workload, settings, torch.device(asked["device"]))
    write_json(result, measured | {"title": asked["title"]})


if __name__ == "__main__":
    run_main(lambda: answer(*sys.argv[1:]))
