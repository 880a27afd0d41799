"""Train with options and configs of the authors' release."""

import json
from pathlib import Path

import pytest
import torch

import run_experiments
from mmseg.utils.checkpoint import load_checkpoint
from mmseg.utils.config import load_config
from mmseg.utils.work_dir import git_revision
from tests.old_configs import old_config
from tests.tools.failing import error_of, train_error
from tools import train as train_tool


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_a_run_starts_from_another_and_never_validates(config, tmp_path):
    changes = ["--cfg-options", "train_cfg.val_interval=1", "default_hooks.checkpoint.interval=1"]
    changes += ["val_dataloader.dataset.data_root=nowhere"]
    options = [str(config), "--device", "cpu", "--no-validate", "--work-dir"]
    first, second = tmp_path / "first", tmp_path / "second"
    train_tool.main([*options, str(first), *changes, "train_cfg.max_iters=1"])
    checkpoint = first / "iter_1.pth"
    assert files(first) == {"iter_1.pth", "c.json", "finished", "last_checkpoint"}
    stored = load_config(first / "c.json")
    assert stored.validate is False
    assert stored.val_dataloader.dataset.data_root == "nowhere"
    assert stored.git_rev == git_revision()
    (log,) = first.glob("*/*.log")
    assert f"git revision of the code: {stored.git_rev or 'unknown'}\n" in log.read_text()

    lr = "optim_wrapper.optimizer.lr=0.0"
    load = ["--load-from", str(checkpoint)]
    train_tool.main([*options, str(second), *load, *changes, "train_cfg.max_iters=1", lr])
    assert load_config(second / "c.json").load_from == str(checkpoint)
    expected, found = (load_checkpoint(run / "iter_1.pth")["state_dict"] for run in (first, second))
    learnt = {key for key in expected if key.startswith("model.") and key.endswith(".weight")}
    assert learnt
    assert all(torch.equal(found[key], expected[key]) for key in learnt)

    resume = [str(config), "--device", "cpu", "--work-dir", str(second), "--resume"]
    train_tool.main([*resume, "--cfg-options", "train_cfg.max_iters=2"])
    assert {"iter_1.pth", "iter_2.pth"} <= files(second)
    assert not list(second.glob("best_*"))


@pytest.mark.parametrize("main", [train_tool.main, run_experiments.main])
def test_what_a_run_cannot_start_from_is_refused(main, config, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    chosen = [config] if main is train_tool.main else ["--config", config]
    for missing in (tmp_path / "no.pth", tmp_path):
        message = error_of(main, *chosen, "--load-from", missing, "--work-dir", tmp_path / "run")
        assert message == f"--load-from {missing}: no such file"
    assert error_of(main, *chosen, "--load-from", config, "--resume") == (
        "--resume continues a run, --load-from starts one with other weights: leave out one"
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_release_configs_that_train_something_else_are_refused(tmp_path):
    old = old_config(4)
    old["uda"] |= {"prod": False, "push_off_self_training": True, "strange": 1}
    old["model"]["backbone"]["frozen_stages"] = 1
    config = tmp_path / "old.json"
    config.write_text(json.dumps(old))
    expected = (
        "this config of mmseg 0.x can be tested, but not trained: model.backbone.frozen_stages is "
        "1, but there is only -1 here; uda.prod is False, but there is only True here; "
        "uda.push_off_self_training is True, but there is only False here; nothing is known about "
        "uda.strange; leave out what changes nothing, or write a config in the schema of today"
    )
    assert train_error(config) == expected
    arguments = ["--config", config, "--work-dir", tmp_path / "run", "--device", "cpu"]
    assert error_of(run_experiments.main, *arguments) == expected
    assert files(tmp_path) == {"old.json"}
    assert not (tmp_path / "run").exists()
