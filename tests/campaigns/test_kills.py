"""Killed and resumed runs end like one that nobody has disturbed."""

import pytest

from tests.campaigns.kills import campaign, differences

pytestmark = pytest.mark.usefixtures("quick_start")


@pytest.mark.slow
def test_ten_kills_leave_no_trace(tmp_path):
    kills, wrong = campaign(tmp_path, runs=4, seed=3)
    assert wrong == []
    assert kills >= 10


def test_differences_are_found_by_name():
    one = {"a": [1, 2.0], "b": {"c": "x"}}
    assert differences(one, {"a": [1, 2.0], "b": {"c": "x"}}) == []
    assert differences(one, {"a": [1, 2.5], "b": {"c": "y"}}) == [".a[1]", ".b.c"]
    assert differences(one, {"a": [1], "b": {}}) == [".a", ".b"]
