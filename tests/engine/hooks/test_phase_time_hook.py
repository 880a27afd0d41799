"""Measure the phases of steps, and stop when one fails."""

import json
import time
from types import SimpleNamespace

from torch import nn

from mmseg.engine.hooks import PhaseTimeHook
from mmseg.utils.phases import observers, phase


def runner(tmp_path, iteration):
    return SimpleNamespace(model=nn.Linear(1, 1), iter=iteration, log_dir=str(tmp_path))


def test_one_step_in_each_interval_is_measured(tmp_path):
    hook = PhaseTimeHook(interval=2)
    for iteration in range(4):
        hook.before_train_iter(runner(tmp_path, iteration), iteration)
        for _ in range(2):
            with phase("wait"):
                time.sleep(0.01)
        hook.after_train_iter(runner(tmp_path, iteration), iteration)
    time.sleep(0.5)  # other hooks
    hook.after_train(runner(tmp_path, 4))
    lines = (tmp_path / "vis_data" / "phases.json").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["iter"], row["step"]) for row in rows] == [(2, 2), (4, 4)]
    assert all(0.02 <= row["wait"] <= row["whole"] < row["wait"] + 0.5 for row in rows)


def test_a_step_that_fails_leaves_no_clock_behind(tmp_path):
    hook = PhaseTimeHook(interval=1)
    hook.before_train_iter(runner(tmp_path, 0), 0)
    assert len(observers) == 1
    hook.stop()
    hook.stop()
    assert observers == [] and list(tmp_path.iterdir()) == []
