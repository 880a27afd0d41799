"""Killed and resumed runs end like one that nobody has disturbed."""

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
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (kills,) = re.findall(r"^(\d+) kills, 0 differences$", ended.stdout, re.M)
    assert int(kills) >= 10


def test_differences_are_found_by_name():
    one = {"a": [1, 2.0], "b": {"c": "x"}}
    assert differences(one, {"a": [1, 2.0], "b": {"c": "x"}}) == []
    assert differences(one, {"a": [1, 2.5], "b": {"c": "y"}}) == [".a[1]", ".b.c"]
    assert differences(one, {"a": [1], "b": {}}) == [".a", ".b"]
