"""Print tables of results and the summary of a folder."""

import json

import pytest

from benchmarks.report import summary, training_table, write_json
from benchmarks.training import PLAIN
from mmseg.utils import InputError
from tests.benchmarks.small_training import result


def test_one_result():
    lines = training_table({"fp32, eager": result()}).splitlines()
    assert lines[:19] == [
        "experiment 4, batch 2 + 2, crop 256, contrast, 10 steps after 3 to warm up",
        "Some CPU, 2 threads, torch 2.0, commit abc-dirty",
        "",
        "training step              fp32, eager",
        "--------------------------------------",
        "seconds, median                      2",
        "seconds, p10                         1",
        "seconds, p90                         4",
        "images/s                             2",
        "peak MiB resident                 1000",
        "--------------------------------------",
        "TFLOP                                3",
        "TFLOP/s                            1.5",
        "peak TFLOP/s                         6",
        "% of peak                         25.0",
        "--------------------------------------",
        "crop, ms                500.0 (25.0 %)",
        "source, ms             1000.0 (50.0 %)",
        "rest, ms                500.0 (25.0 %)",
    ]
    assert lines[19] == "of which contrast, ms    20.0 ( 1.0 %)"


def test_two_results():
    results = {"plain": result(3.0, 1500.0, **PLAIN), "fast": result(2.0, precision="bf16")}
    lines = training_table(results).splitlines()
    assert "plain: fp32, eager, maths attention, unfused optimizer" in lines
    assert "fast: bf16, eager" in lines
    cells = {line[:21].strip(): line[21:].split() for line in lines}
    assert cells["training step"] == ["plain", "fast", "plain", "/", "fast"]
    assert cells["seconds, median"] == ["3", "2", "1.50"]
    assert cells["peak MiB resident"] == ["1500", "1000", "1.50"]
    assert cells["images/s"] == ["1.33", "2"]
    assert cells["source, ms"][-1] == "1.50"


def test_summary(tmp_path):
    write_json(tmp_path / "a.json", result(precision="bf16"))
    (tmp_path / "a.txt").write_text("what was printed\n")
    compared = {"plain": result(3.0, 1500.0), "fast": result()}
    compared |= {"benchmark": "comparison", "ratios_of": ["plain", "fast"]}
    compared["ratios"] = {"time": 1.5, "memory": 1.25}
    write_json(tmp_path / "b.json", compared)
    write_json(tmp_path / "c.json", {"benchmark": "data"})
    (tmp_path / "c.txt").write_text("99 images/s\n")
    write_json(tmp_path / "memory-4.json", result())
    lines = summary(tmp_path).splitlines()
    assert lines[0] == "Some CPU, 2 threads, torch 2.0, commit abc-dirty"
    assert lines[2].startswith("| what | setting |")
    assert lines[4] == (
        "| experiment 4 | bf16, eager | 2 + 2, 256 | 2000.0 (1000.0 to 4000.0) | 2 | 1000 resident "
        "| 25.0 | 26.0 % |"
    )
    assert lines[5].startswith("| experiment 4 | plain: fp32, eager |")
    assert (
        "| experiment 4 | fp32, eager | 2 + 2, 256 | not timed |  | 1000 resident |  |  |" in lines
    )
    assert "- b: plain takes 1.50 times as long as fast and 1.25 times as much memory." in lines
    assert lines[-4:] == ["### c", "```", "99 images/s", "```"]
    assert "what was printed" not in lines
    assert json.loads((tmp_path / "a.json").read_text())["settings"]["precision"] == "bf16"


def test_nothing_to_summarise(tmp_path):
    with pytest.raises(InputError, match="no results in"):
        summary(tmp_path)
