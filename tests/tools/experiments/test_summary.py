"""What a grid ends with."""

import pytest
import torch

from mmseg.registry import MODELS
from tests.training import small_config
from tools.experiments.runs import Failure, Run
from tools.experiments.summary import compare_tasks, name_failures


@pytest.fixture
def runs(toy_root, tmp_path):
    """Two runs whose configs have seeds of their own."""
    made = []
    for seed, title in ((76, "one"), (3, "other")):
        cfg = small_config(toy_root, tmp_path)
        cfg.randomness = {"seed": seed}
        run = Run(tmp_path / f"{title}.py", tmp_path / title, title, task="here to there")
        run.generated = True
        run.work_dir.mkdir()
        cfg.dump(run.resolved)
        torch.manual_seed(seed)
        torch.save(
            {"state_dict": MODELS.build(cfg.model).state_dict()}, run.work_dir / "iter_1.pth"
        )
        made.append(run)
    return made


def test_runs_with_seeds_of_their_own_are_one_table(runs, tmp_path, capsys):
    compare_tasks(runs, {}, tmp_path, "one", "cpu")
    header, *rows = (tmp_path / "comparison.csv").read_text().splitlines()
    assert header == "class,method,mean,std,seed 76 3"
    one, other = (float(row.split(",")[2]) for row in rows[-2:])
    lines = (tmp_path / "comparison.txt").read_text().splitlines()
    assert lines[0].split() == ["class", "one", "other", "difference"]
    assert lines[-1].split() == ["mIoU", f"{one:.2f}", f"{other:.2f}", f"{other - one:+.2f}"]
    assert (tmp_path / "comparison.png").is_file()
    text = "here to there: IoU in percent on the target's validation images."
    assert capsys.readouterr().out.startswith(f"\n{text}\n\nclass ")

    # With the seeds that were asked for, each has a column.
    for run, run.seed in zip(runs, (76, 3), strict=True):
        run.title = "one"
    compare_tasks(runs, {}, tmp_path, "one", "cpu")
    header, *rows = (tmp_path / "comparison.csv").read_text().splitlines()
    assert header == "class,method,mean,std,seed 76,seed 3"
    assert rows[-1].split(",")[4:] == [f"{one:.4f}", f"{other:.4f}"]


def test_failed_runs_are_left_out_and_named(runs, tmp_path, capsys):
    failures = {runs[1]: Failure("no room", tmp_path / "log")}
    compare_tasks(runs, failures, tmp_path, "one", "cpu")
    header, *_ = (tmp_path / "comparison.csv").read_text().splitlines()
    assert header == "class,method,mean,std,seed 76"
    name_failures(failures, 2)
    first, second, _ = capsys.readouterr().err.strip().splitlines()
    assert first == "1 of 2 runs failed:"
    assert second == f"  other: no room; log: {tmp_path / 'log'}"
