"""Run ``benchmarks/gpu.sh`` with an interpreter that records its commands."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.sh"
INTERPRETER = """#!/usr/bin/env bash
if [ "$1" = -c ]; then echo 3; exit; fi
if [ "$2" = benchmarks.report ]; then exec {python} "$@"; fi
echo "$*" >> {log}
case "$*" in {failing}) echo "at work"; echo "error: too hot" >&2; exit 1;; esac
echo "it took a second"
"""


@pytest.fixture
def script(tmp_path):
    """Return a function that runs the script and returns the process and its commands."""
    log = tmp_path / "log"

    def run(
        failing: str = "nothing", **environment: str
    ) -> tuple[subprocess.CompletedProcess, list]:
        interpreter = tmp_path / "python"
        names = {"python": shlex.quote(sys.executable), "log": shlex.quote(str(log))}
        text = INTERPRETER.format(failing=failing, **names)
        interpreter.write_text(text)
        interpreter.chmod(0o755)
        log.write_text("")
        done = subprocess.run(
            ["bash", str(SCRIPT), str(tmp_path / "rows")],
            env={**os.environ, "PYTHON": str(interpreter), **environment},
            capture_output=True,
            text=True,
        )
        return done, log.read_text().splitlines()

    return run


def test_all_rows_are_made_and_only_once(script, tmp_path):
    done, commands = script(failing="*inference-4.json")
    assert done.returncode == 1
    assert done.stderr.endswith("failed: inference-4: error: too hot\n")
    rows = tmp_path / "rows"
    names = {path.stem for path in rows.glob("*.txt")}
    assert len(names) == len(commands) - 1 == 25
    assert {"compare-1", "compare-4", "data", "demo-bf16", "tests", "memory-8"} <= names
    assert not (rows / "inference-4.txt").exists()
    assert (rows / "inference-4.out").read_text() == "at work\n"
    summary = (rows / "summary.md").read_text()
    assert "### compare-4\n```\nit took a second\n```" in summary
    assert summary.endswith("failed: inference-4: error: too hot\n")

    done, commands = script()
    assert done.returncode == 0, done.stderr
    assert [command.partition(" --json")[0] for command in commands] == [
        "-m tools.benchmark inference --exp 4 --device cuda --compare"
    ]
    assert "failed" not in (rows / "summary.md").read_text()


def test_rows_of_another_commit(script, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "commit").write_text("0123456\n")
    done, commands = script()
    assert (done.returncode, commands) == (1, [])
    assert "has rows of commit 0123456, not" in done.stderr


def test_rows_without_time_left_are_reported(script, tmp_path):
    done, commands = script(SECONDS_MAX="5")
    assert (done.returncode, commands) == (1, [])
    assert "no results in" in done.stderr
    assert (tmp_path / "rows" / "data.err").read_text() == "no time was left\n"
