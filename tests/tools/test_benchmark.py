"""The command line of the benchmarks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import experiment_config
from tests.benchmarks.small_training import small_config
from tests.tools.failing import error_of
from tools import benchmark


@pytest.fixture
def config(tmp_path):
    small_config().dump(tmp_path / "c.json")
    return str(tmp_path / "c.json")


def test_training(config, tmp_path, capsys):
    options = ["--crop", "32", "--iters", "2", "--warmup", "1", "--device", "cpu"]
    file = tmp_path / "new" / "r.json"
    benchmark.main(["--config", config, *options, "--channels-last", "--json", str(file)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "c.json, batch 2 + 2, crop 32, contrast, 2 steps after 1 to warm up"
    assert lines[3].split("  ")[-1] == "fp32, eager, channels last"
    assert len(json.loads(file.read_text())["seconds"]["each"]) == 2


def test_night_experiments_are_configs_too():
    assert experiment_config(8).model.type == "SePiCoDark"
    assert experiment_config(0, 0).model.type == "SourceOnly"


def test_help_is_fast():
    code = (
        "import sys; from tools import benchmark\n"
        "try: benchmark.main(['--help'])\n"
        "except SystemExit: print(sorted({'torch', 'kornia'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--start-contrast" in out.stdout
    assert out.stdout.splitlines()[-1] == "[]"


def test_mistakes(config, tmp_path):
    main = benchmark.main
    assert error_of(main, "--exp", "99").startswith("there is no experiment 99: choose from 0, ")
    assert error_of(main, "--config", config, "--crop", "8") == "--crop 8: must be at least 32"
    (tmp_path / "file").write_text("")
    message = error_of(main, "--config", config, "--json", tmp_path / "file" / "r.json")
    assert message.startswith(f"cannot write to {tmp_path / 'file'}")
    message = error_of(main, "--config", config, "--cfg-options", "performance.fast=1")
    assert message.startswith("performance knows precision, compile, ")


def test_gpu_rows_need_a_gpu(tmp_path):
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.sh"
    environment = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    command = ["bash", str(script), str(tmp_path / "rows")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: {sys.executable} finds no CUDA device (or no torch): these rows need one"
    ]
    assert not (tmp_path / "rows").exists()
