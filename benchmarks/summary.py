"""A Markdown summary of a folder of results: ``python -m benchmarks.summary FOLDER``."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg.utils import InputError
from mmseg.utils.cli import run_main

from .report import machine_line
from .settings import Settings

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

# Names of results for the sake of their memory: others ran on the same device.
UNTIMED = "memory-"


def summary(folder: str | Path) -> str:
    """A table of all training results, their ratios, and the texts of all other rows.

    Args:
        folder: of ``NAME.json`` files, and of ``NAME.txt`` files with what was printed.

    Raises:
        InputError: there is no result.
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
    """The cells of one training result under :data:`HEADER`.

    Args:
        prefix: of the setting. timed: whether its times are those of a device of its own.
    """
    seconds, work, phases = result["seconds"], result["workload"], result["phases"]
    median, p10, p90 = (1e3 * seconds[name] for name in ("median", "p10", "p90"))
    whole = sum(value for name, value in phases.items() if name != "contrast")
    small = sum(phases.get(name, 0.0) for name in ("crop", "statistics", "contrast"))
    cells = (
        result["title"],
        prefix + Settings(**result["settings"]).describe(),
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
        raise InputError("name one folder: python -m benchmarks.summary FOLDER")
    print(summary(sys.argv[1]), end="")


if __name__ == "__main__":
    run_main(main)
