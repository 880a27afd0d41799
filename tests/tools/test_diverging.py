"""A run whose loss becomes infinite, from the command line."""

import math

import torch

from mmseg.utils.checkpoint import load_checkpoint
from mmseg.utils.finite import first_nonfinite
from tests.tools.failing import error_of
from tools import train as train_tool


def test_a_diverging_run_keeps_its_checkpoint_and_goes_on(toy_config, tmp_path):
    toy_config.pop("work_dir")
    toy_config.train_cfg.update(max_iters=1, val_interval=5)
    toy_config.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=1, save_best=None)
    toy_config.dump(tmp_path / "c.json")
    run = tmp_path / "run"
    options = [tmp_path / "c.json", "--work-dir", run, "--device", "cpu"]
    train_tool.main([str(each) for each in options])
    loss = "model.segmentor.decode_head.loss_decode.loss_weight"
    longer = ["--resume", "--cfg-options", "train_cfg.max_iters=2"]
    text = error_of(train_tool.main, *options, *longer, f"{loss}=1e39")
    assert "at iteration 2 the loss src.decode.loss_seg is inf; the last checkpoint is " in text
    assert [path.name for path in run.glob("*.pth")] == ["iter_1.pth"]
    way_out = text.split("(")[1].split(")")[0].split()
    train_tool.main([str(each) for each in [*options, *way_out, *longer[2:], f"{loss}=1.0"]])
    last = load_checkpoint(run / "iter_2.pth")
    assert first_nonfinite(last["state_dict"]) is None
    next(iter(last["optimizer"]["state"].values()))["exp_avg"].view(-1)[0] = math.nan
    torch.save(last, run / "iter_2.pth")
    text = error_of(train_tool.main, *options, "--resume", "--cfg-options", "train_cfg.max_iters=3")
    assert "iter_2.pth holds NaN or infinite values (first in optimizer.state.0.exp_avg)" in text
