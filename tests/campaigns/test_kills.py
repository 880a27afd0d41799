"""Killed and resumed runs end like an undisturbed one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaigns.kills import differences

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_ten_kills_leave_no_trace():
    command = [sys.executable, "-m", "tests.campaigns.kills", "--runs", "4", "--seed", "3"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    rows = re.findall(r"^ *\d+ +(\d+)  (.+)$", ended.stdout, re.M)
    assert len(rows) == 4, ended.stdout + ended.stderr
    assert ended.returncode == 0, ended.stdout
    assert {what for _, what in rows} == {"none"}
    assert sum(int(kills) for kills, _ in rows) >= 10


def test_differences_are_found_by_name():
    one = {"a": [1, 2.0], "b": {"c": "x"}}
    assert differences(one, {"a": [1, 2.0], "b": {"c": "x"}}) == []
    assert differences(one, {"a": [1, 2.5], "b": {"c": "y"}}) == [".a[1]", ".b.c"]
    assert differences(one, {"a": [1], "b": {}}) == [".a", ".b"]
