"""Killed and resumed runs end like an undisturbed one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaigns.kills import differences

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_kills_leave_no_trace_in_runs_of_three_networks():
    """Each start is a fork of one process, which imports the packages once."""
    command = [sys.executable, "-m", "tests.campaigns.kills", "--runs", "2", "--seed", "3"]
    command += ["--exp", "0", "31", "sepico-dinov3-l-gta2cs"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = re.findall(r"^ *\d+ +(\d+)  (.+)$", ended.stdout, re.M)
    assert [what for _, what in rows] == ["none"] * 6
    assert sum(int(kills) for kills, _ in rows) >= 10


def test_differences_are_found_by_name():
    one = {"a": [1, 2.0], "b": {"c": "x"}}
    assert differences(one, {"a": [1, 2.0], "b": {"c": "x"}}) == []
    assert differences(one, {"a": [1, 2.5], "b": {"c": "y"}}) == [".a[1]", ".b.c"]
    assert differences(one, {"a": [1], "b": {}}) == [".a", ".b"]
