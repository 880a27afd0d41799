"""Format the results of the benchmarks as text, and write them as JSON."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg.evaluation.report import align
from mmseg.utils import InputError, atomic_path
from mmseg.utils.cli import run_main

from .inference import EvaluationSettings
from .training import TrainingSettings

Result = Mapping[str, Any]


def write_json(path: str | os.PathLike, result: Result) -> None:
    """Write a result atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")


def machine_line(machine: Result) -> str:
    """Format hardware, threads, version and commit."""
    threads = machine["threads"]
    return (
        f"{machine['hardware']}, {threads} thread{'s' if threads > 1 else ''}, "
        f"torch {machine['torch']}, commit {machine['commit']}"
    )


def workload_line(result: Result) -> str:
    """Describe the workload of a training benchmark."""
    work = result["workload"]
    contrast = ", contrast" if "contrast" in result["phases"] else ""
    if contrast and work["start_contrast"]:
        contrast += f" from step {work['start_contrast']} on"
    return (
        f"{result['title']}, batch {work['batch']} + {work['batch']}, crop {work['crop']}"
        f"{contrast}, {work['iters']} steps after {work['warmup']} to warm up"
    )


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and the number behind it if results are compared by it."""

    text: str
    cost: float | None = None


def training_table(results: Mapping[str, Result]) -> str:
    """Format one column for each result and, for two results, their ratios.

    Args:
        results: heading -> result of ``measure_training``, all of one workload and machine.
    """
    columns = list(results.values())
    compared = len(columns) == 2
    header = ("training step", *results) + ((" / ".join(results),) if compared else ())
    blocks = []
    for block in (_cost_cells, _flop_cells, _phase_cells):
        cells = [block(column) for column in columns]
        names = dict.fromkeys(name for each in cells for name in each)
        blocks.append([_row(name, [each.get(name) for each in cells], compared) for name in names])
    settings = {
        name: TrainingSettings(**result["settings"]).describe() for name, result in results.items()
    }
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
        "TFLOP: 10^12 operations of convolutions, matrix products and attention; a multiply-add is "
        "two. What\nactivation checkpointing recomputes is counted once. Peak: of matrix products "
        f"in this precision\n({peaks}). Phases: means of all steps; contrast is a part of source "
        "and target."
    )


def ratios(first: Result, second: Result) -> dict[str, float]:
    """Divide the time and the memory of the first by those of the second."""
    memory = [next(iter(each["peak_memory_mib"].values())) for each in (first, second)]
    return {
        "time": first["seconds"]["median"] / second["seconds"]["median"],
        "memory": memory[0] / memory[1],
    }


LOADING_LEGEND = """\
One sample: mean times of one process with one thread, with files in the cache of the system; crop
includes the attempts of rare class sampling; rest: random draws, seeding, freeing memory. Workers:
batches are taken as fast as they come. Step: it only sleeps, so it takes no CPU time from the
workers; it is idle while it waits for a batch."""


def loading_text(result: Result) -> str:
    """Format the stages of making a sample, rates, and waiting times of a step."""
    stages = result["stages"]
    names = list(dict.fromkeys(name for each in stages.values() for name in each))
    total = sum(sum(each.values()) for each in stages.values())
    rows = []
    for name in names:
        seconds = [each.get(name) for each in stages.values()]
        share = 100 * sum(filter(None, seconds)) / total
        rows.append([name, *map(_milliseconds, seconds), f"{share:.1f}"])
    sums = ["all", *(_milliseconds(sum(each.values())) for each in stages.values()), "100.0"]
    header = ("one sample, ms", *stages, "%")
    machine = result["machine"]
    head = [
        f"{result['title']}, {result['batches']} batches of {result['batch_size']} samples",
        *(f"{domain}: {place}" for domain, place in result["data"].items()),
        f"{machine_line(machine)}, {machine['cores']} cores",
    ]
    return "\n".join(
        [*head, "", align(header, rows, [sums]), "", *_loading_rates(result), "", LOADING_LEGEND]
    )


def _loading_rates(result: Result) -> list[str]:
    wait = result["wait"]
    return [
        f"one process: {result['worker_images_per_second']:.1f} images/s",
        f"{result['workers']} workers: {result['images_per_second']:.1f} images/s",
        f"a step of {1e3 * result['step_seconds']:g} ms waits {1e3 * wait['median']:.2f} ms "
        f"(median; p90 {1e3 * wait['p90']:.2f}): idle {100 * result['idle_share']:.1f} %",
        f"to the device: {result['bytes'] / 2**20:.1f} MiB a batch in {result['tensors']} tensors, "
        f"{result['pinned']} of them pinned",
    ]


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.2f}"


def evaluation_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Format one column for each result and, for two results, their ratios.

    Args:
        results: heading -> result of ``measure_evaluation``, all of the same images.
    """
    columns = list(results.values())
    first = columns[0]
    sizes = ["x".join(map(str, first[name])) for name in ("image_size", "test_size")]
    head = [
        f"{first['title']}, {first['images']} images of {sizes[0]}, predicted at {sizes[1]}",
        machine_line(first["machine"]),
        *(
            f"{name}: {EvaluationSettings(**each['setting']).describe()}"
            for name, each in results.items()
        ),
    ]
    names = list(dict.fromkeys(name for each in columns for name in each["parts"]))
    costs = [("ms an image", [1e3 * each["seconds"] / each["images"] for each in columns])]
    costs += [(name, [1e3 * each["parts"].get(name, 0) for each in columns]) for name in names]
    kind = next(iter(first["peak_memory_mib"]))
    memory = [(f"peak MiB {kind}", [each["peak_memory_mib"][kind] for each in columns])]
    compared = len(columns) == 2
    header = ("evaluation", *results, *((" / ".join(results),) if compared else ()))
    rates = ["images/s", *(f"{each['images_per_second']:.3g}" for each in columns)]
    scores = ["mIoU", *(f"{each['scores']['mIoU']:.2f}" for each in columns)]
    blank = [""] if compared else []
    return "\n".join(
        [
            *head,
            "",
            align(
                header,
                [rates + blank, *(_cost_row(*each, compared) for each in costs)],
                [_cost_row(*each, compared) for each in memory],
                [scores + blank],
            ),
        ]
    )


def _cost_row(name: str, values: list[float], compared: bool) -> list[str]:
    row = [name, *(f"{value:.1f}" for value in values)]
    return row + ([f"{values[0] / values[1]:.2f}" if values[1] else ""] if compared else [])


HEADER = (
    "what",
    "setting",
    "batch, crop",
    "ms a step (p10 to p90)",
    "images/s",
    "peak MiB",
    "% of peak FLOP/s",
    "crop + statistics + contrast",
)

# Prefix of results that measure only memory: other jobs ran on the same device.
UNTIMED = "memory-"


def summary(folder: str | Path) -> str:
    """Format a table of all training results, their ratios, and the texts of other results.

    Args:
        folder: folder of ``NAME.json`` files, and of ``NAME.txt`` files with printed output.

    Raises:
        InputError: if there is no result.
    """
    folder = Path(folder)
    results = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    if not results and not any(folder.glob("*.txt")):
        raise InputError(f"no results in {folder}: benchmark with --json {folder}/NAME.json")
    rows, lines, machines = [HEADER, ("---",) * len(HEADER)], [], []
    for name, result in results.items():
        if result["benchmark"] == "comparison":
            first, second = result["ratios_of"]
            rows += [training_row(result[each], f"{each}: ") for each in (first, second)]
            machines.append(machine_line(result[first]["machine"]))
            time, memory = result["ratios"]["time"], result["ratios"]["memory"]
            lines.append(
                f"{name}: {first} takes {time:.2f} times as long as {second} and {memory:.2f} "
                "times as much memory."
            )
        elif result["benchmark"] == "training":
            rows.append(training_row(result, timed=not name.startswith(UNTIMED)))
            machines.append(machine_line(result["machine"]))
    parts = ["\n".join(dict.fromkeys(machines))]
    if len(rows) > 2:
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    parts += ["\n".join(f"- {line}" for line in lines)] if lines else []
    for path in sorted(folder.glob("*.txt")):
        if results.get(path.stem, {}).get("benchmark") not in ("training", "comparison"):
            parts.append(f"### {path.stem}\n```\n{path.read_text().strip()}\n```")
    return "\n\n".join(filter(None, parts)) + "\n"


def training_row(
    result: Mapping[str, Any], prefix: str = "", timed: bool = True
) -> tuple[str, ...]:
    """Format the cells of one training result under :data:`HEADER`.

    Args:
        prefix: prefix of the setting's name.
        timed: whether the device ran nothing else, so that its times count.
    """
    seconds, work, phases = result["seconds"], result["workload"], result["phases"]
    median, p10, p90 = (1e3 * seconds[name] for name in ("median", "p10", "p90"))
    whole = sum(value for name, value in phases.items() if name != "contrast")
    small = sum(phases.get(name, 0.0) for name in ("crop", "statistics", "contrast"))
    cells = (
        result["title"],
        prefix + TrainingSettings(**result["settings"]).describe(),
        f"{work['batch']} + {work['batch']}, {work['crop']}",
        f"{median:.1f} ({p10:.1f} to {p90:.1f})",
        f"{result['images_per_second']:.3g}",
        ", ".join(f"{mib:.0f} {kind}" for kind, mib in result["peak_memory_mib"].items()),
        f"{100 * result['flops']['share_of_peak']:.1f}",
        f"{100 * small / whole:.1f} %",
    )
    if timed:
        return cells
    return (*cells[:3], "not timed", "", cells[5], "", "")


def main() -> None:
    """Print the summary of the folder on the command line."""
    if len(sys.argv) != 2:
        raise InputError("name one folder: python -m benchmarks.report FOLDER")
    print(summary(sys.argv[1]), end="")


if __name__ == "__main__":
    run_main(main)
