"""Say what runs were trained with, and how to repeat one."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .runs import Run

_FACTS = ("hardware", "processes", "threads", "cuda", "cudnn", "python", "system")


def environments(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return revision of the code, hardware and versions.

    Returns:
        Name -> its value in each run; one value if it is the same in all.
    """
    facts = [_facts(run) for run in runs]
    names = dict.fromkeys(name for each in facts for name in each)
    rows = {name: [each.get(name, "-") for each in facts] for name in names}
    return {name: row[:1] if len(set(row)) == 1 else row for name, row in rows.items()}


def _facts(run: Run) -> dict[str, str]:
    stored = run.environment
    facts = {"code": run.config.get("git_rev") or "unknown"}
    facts |= {name: str(stored[name]) for name in _FACTS if name in stored}
    return facts | stored.get("packages", {})


def command_of(run: Run) -> str:
    """Return the commands that repeat a run from its stored config."""
    config = Path(str(run.config.filename))
    again = run.folder.with_name(f"{run.folder.name}_again")
    processes: Any = run.environment.get("processes", 1)
    start = ["python", "-m", "tools.train"]
    options = ["--work-dir", str(again)]
    if processes > 1:
        start = ["torchrun", "--standalone", f"--nproc_per_node={processes}", "-m", "tools.train"]
        options += ["--launcher", "pytorch"]
    if run.environment.get("device") == "cpu":
        options += ["--device", "cpu"]
    lines = [shlex.join([*start, str(config), *options])]
    revision = run.config.get("git_rev")
    if revision:
        clean = revision.removesuffix("-dirty")
        changed = "  # and with changes that are not in this commit" if clean != revision else ""
        lines.insert(0, f"git checkout {clean}{changed}")
    return "\n".join(lines)
