"""Results of the benchmarks as text and as JSON."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmseg.evaluation.report import align
from mmseg.utils import atomic_path

from .settings import Settings

Result = Mapping[str, Any]


def write_json(path: str | os.PathLike, result: Result) -> None:
    """Write a result, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")


def machine_line(machine: Result) -> str:
    """Hardware, threads, version and commit."""
    threads = machine["threads"]
    return (
        f"{machine['hardware']}, {threads} thread{'s' if threads > 1 else ''}, "
        f"torch {machine['torch']}, commit {machine['commit']}"
    )


def workload_line(result: Result) -> str:
    """What a training benchmark has run."""
    work = result["workload"]
    contrast = f" from step {work['start_contrast']} on" if work["start_contrast"] else ""
    return (
        f"{result['title']}, batch {work['batch']} + {work['batch']}, crop {work['crop']}, contrast"
        f"{contrast}, {work['iters']} steps after {work['warmup']} to warm up"
    )


@dataclass(frozen=True)
class Cell:
    """What a table shows of a result, and the number behind it where results are compared."""

    text: str
    cost: float | None = None


def training_table(results: Mapping[str, Result]) -> str:
    """One column for each result; of two also how many times as much the first takes.

    Args:
        results: heading -> what ``measure_training`` returns, of one workload and machine.
    """
    columns = list(results.values())
    compared = len(columns) == 2
    header = ("training step", *results) + ((" / ".join(results),) if compared else ())
    blocks = []
    for block in (_cost_cells, _flop_cells, _phase_cells):
        cells = [block(column) for column in columns]
        names = dict.fromkeys(name for each in cells for name in each)
        blocks.append([_row(name, [each.get(name) for each in cells], compared) for name in names])
    settings = {name: Settings(**result["settings"]).describe() for name, result in results.items()}
    told = [f"{name}: {setting}" for name, setting in settings.items() if name != setting]
    head = [workload_line(columns[0]), machine_line(columns[0]["machine"]), *told]
    return "\n".join([*head, "", align(header, *blocks), "", _legend(columns)])


def _row(name: str, cells: Sequence[Cell | None], compared: bool) -> list[str]:
    row = [name, *(cell.text if cell else "-" for cell in cells)]
    if compared:
        costs = [cell.cost if cell else None for cell in cells]
        row.append(f"{costs[0] / costs[1]:.2f}" if all(costs) else "")
    return row


def _cost_cells(result: Result) -> dict[str, Cell]:
    seconds = result["seconds"]
    cells = {
        f"seconds, {name}": Cell(f"{seconds[name]:.4g}", seconds[name])
        for name in ("median", "p10", "p90")
    }
    cells["images/s"] = Cell(f"{result['images_per_second']:.3g}")
    for kind, mib in result["peak_memory_mib"].items():
        cells[f"peak MiB {kind}"] = Cell(f"{mib:.0f}", mib)
    return cells


def _flop_cells(result: Result) -> dict[str, Cell]:
    flops = result["flops"]
    return {
        "TFLOP": Cell(f"{flops['step'] / 1e12:.4g}"),
        "TFLOP/s": Cell(f"{flops['per_second'] / 1e12:.3g}"),
        "peak TFLOP/s": Cell(f"{flops['peak_per_second'] / 1e12:.3g}"),
        "% of peak": Cell(f"{100 * flops['share_of_peak']:.1f}"),
    }


def _phase_cells(result: Result) -> dict[str, Cell]:
    phases = result["phases"]
    whole = sum(seconds for name, seconds in phases.items() if name != "contrast")
    return {
        f"{'of which ' if name == 'contrast' else ''}{name}, ms": Cell(
            f"{1e3 * seconds:.1f} ({100 * seconds / whole:4.1f} %)", seconds
        )
        for name, seconds in phases.items()
    }


def _legend(columns: Sequence[Result]) -> str:
    peaks = " and ".join(dict.fromkeys(column["flops"]["peak_source"] for column in columns))
    return (
        "TFLOP: 10^12 operations of convolutions, matrix products and attention, a multiply-add "
        "being two; nothing\nis counted twice that is computed again. Peak: of matrix products in "
        f"this precision ({peaks}).\nPhases: means of all steps; contrast is a part of source and "
        "target."
    )


def ratios(first: Result, second: Result) -> dict[str, float]:
    """How many times as much time and memory the first takes."""
    memory = [next(iter(each["peak_memory_mib"].values())) for each in (first, second)]
    return {
        "time": first["seconds"]["median"] / second["seconds"]["median"],
        "memory": memory[0] / memory[1],
    }
