"""Killed and resumed runs end like an undisturbed one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaigns.kills import differences

ROOT = Path(__file__).parents[2]


def campaign(*options: str) -> list[tuple[int, str]]:
    """Run the campaign; return the number of kills and the differences of each run."""
    command = [sys.executable, "-m", "tests.campaigns.kills", "--seed", "3", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    rows = re.findall(r"^ *\d+ +(\d+)  (.+)$", ended.stdout, re.M)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [(int(kills), what) for kills, what in rows]


@pytest.mark.slow
def test_ten_kills_leave_no_trace():
    kills, differences = zip(*campaign("--runs", "4"), strict=True)
    assert differences == ("none",) * 4
    assert sum(kills) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("exp", ["31", "sepico-dinov3-l-gta2cs"])
def test_kills_leave_no_trace_in_other_networks(exp):
    ((kills, what),) = campaign("--runs", "1", "--exp", exp)
    assert what == "none" and kills >= 1


def test_differences_are_found_by_name():
    one = {"a": [1, 2.0], "b": {"c": "x"}}
    assert differences(one, {"a": [1, 2.0], "b": {"c": "x"}}) == []
    assert differences(one, {"a": [1, 2.5], "b": {"c": "y"}}) == [".a[1]", ".b.c"]
    assert differences(one, {"a": [1], "b": {}}) == [".a", ".b"]
