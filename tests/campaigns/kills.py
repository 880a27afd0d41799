"""Kill training at random moments, resume it, and compare it with an undisturbed run.

Run ``python -m tests.campaigns.kills --runs 50 --seed 3``. Each start is a fork of this process,
which has already imported torch and other large packages, and is killed by SIGKILL.
"""

import argparse
import copy
import gc
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config, ConfigDict

from demo.toy import ToySettings, make_toy_data
from experiments import describe, experiment
from mmseg.apis.train import FINISHED, train
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import load_checkpoint
from tests.models.networks import TINY_TRANSFORMER
from tests.training import small_config, start_quickly
from tools.analysis.logs import read_run
from tools.common.options import cpu_multiplies_bf16

# Packages that training imports late.
IMPORTED_ONCE = ("timm", "matplotlib.pyplot")
ITERATIONS, INTERVAL = 8, 2
KILLS = 3
CLOCK = ("time", "data_time", "memory", "eta")
# Entries of the message hub that contain the path or the time of a start.
OF_A_START = ("last_ckpt", "best_ckpt", "cfg", "experiment_name")


def fastest_config(toy_root: Path, folder: Path, exp: int | str = 0) -> Config:
    """Return a tiny config of an experiment with checkpoints and scores every few iterations."""
    cfg = small_config(toy_root, folder, exp=exp)
    # Backbones of timm are tiny already.
    if not cfg.model.segmentor.backbone.type.startswith("TIMM"):
        cfg.model.segmentor = tiny_segmentor(cfg.model.segmentor)
        if "prototypes" in cfg.model:
            cfg.model.prototypes.feature_dim = 8
    if "feature_distance" in cfg.model.get("terms", {}):
        # The frozen weights come from this file in each start.
        backbone = cfg.model.segmentor.backbone
        weights = {"state_dict": MODELS.build(backbone).state_dict()}
        torch.save(weights, folder / "imagenet.pth")
        backbone.init_cfg = {"type": "Pretrained", "checkpoint": str(folder / "imagenet.pth")}
        cfg.model.terms.feature_distance.update(min_ratio=0.2, loss_weight=1.0)
    if not cpu_multiplies_bf16():  # which rows of foundation models use, several times slower here
        cfg.performance = {}
    cfg.optim_wrapper.optimizer.lr = 1e-2
    cfg.train_cfg.update(max_iters=ITERATIONS, val_interval=INTERVAL)
    cfg.default_hooks.checkpoint.update(interval=INTERVAL, max_keep_ckpts=2)
    cfg.default_hooks.panels.interval = ITERATIONS
    cfg.val_dataloader.dataset.indices = 1
    cfg.randomness = {"seed": 3, "deterministic": True}
    return cfg


def tiny_segmentor(segmentor: ConfigDict) -> ConfigDict:
    """Return a segmentor of the same type, of two stages of a small transformer."""
    tiny = ConfigDict(copy.deepcopy(TINY_TRANSFORMER), type=segmentor.type)
    tiny.decode_head.num_classes = 19
    if "auxiliary_head" not in segmentor:
        del tiny.auxiliary_head
    if segmentor.decode_head.type == "HRDAHead":
        attention = tiny.decode_head | {"dilations": None}
        tiny.decode_head = {"head": tiny.decode_head, "scale_attention": attention}
        tiny.decode_head.type = "HRDAHead"
        tiny.update({name: segmentor[name] for name in ("detail_size", "test_cfg")})
    return tiny


def start(cfg: Config, work_dir: Path) -> int:
    """Train in a separate process, from the last checkpoint if there is one; return its id."""
    process = os.fork()
    if process:
        return process
    status = 1
    log = open(work_dir.with_suffix(".log"), "a")  # noqa: SIM115 (until the process ends)
    try:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        cfg = cfg.copy()
        cfg.work_dir = str(work_dir)
        train(cfg, device="cpu", resume=any(work_dir.glob("iter_*.pth")))
        status = 0
    except BaseException:
        traceback.print_exc(file=log)  # sys.stderr may be a test runner's
    finally:
        log.flush()
        os._exit(status)


def killed(process: int, moment: float, after: Path | None = None) -> bool:
    """Kill a process after ``moment`` seconds; return False if it succeeded before.

    Args:
        process: id of the process.
        moment: seconds from now, or from when a file appears.
        after: that file.

    Raises:
        RuntimeError: the process failed.
    """
    begin = None if after else time.monotonic()
    while begin is None or time.monotonic() < begin + moment:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            if status:
                raise RuntimeError(f"a run ended with status {status}")
            return False
        time.sleep(0.002)
        if begin is None and after is not None and after.exists():
            begin = time.monotonic()
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return True


def disturbed_run(cfg: Config, work_dir: Path, seconds: float, rng: random.Random) -> int:
    """Train with up to :data:`KILLS` kills; return their number.

    The first comes soon after a checkpoint, the others within the time of a whole run.
    """
    first = work_dir / f"iter_{rng.randrange(INTERVAL, ITERATIONS, INTERVAL)}.pth"
    if not killed(start(cfg, work_dir), rng.uniform(0, 0.05 * seconds), after=first):
        return 0
    kills = 1
    while True:
        # A resumed run has less to do and would often end before a later moment.
        moment = rng.uniform(0, 0.7 * seconds) if kills < KILLS else float("inf")
        if not killed(start(cfg, work_dir), moment):
            return kills
        kills += 1


def outcome(work_dir: Path) -> dict[str, Any]:
    """Return all that must not depend on kills: files, both checkpoints, and logs."""
    last = load_checkpoint(work_dir / f"iter_{ITERATIONS}.pth")
    (best,) = work_dir.glob("best_*.pth")
    hub = last["message_hub"]
    return {
        "files": sorted(path.name for path in work_dir.iterdir() if path.is_file()),
        "finished": (work_dir / FINISHED).read_text(),
        "iteration": last["meta"]["iter"],
        "weights": last["state_dict"],
        "optimizer": last["optimizer"],
        "schedule": last["param_schedulers"],
        "best": load_checkpoint(best)["state_dict"],
        "history": {
            name: history.data[0].tolist()
            for name, history in hub["log_scalars"].items()
            if name.split("/")[-1] not in CLOCK
        },
        "info": {key: value for key, value in hub["runtime_info"].items() if key not in OF_A_START},
        "logs": logged(work_dir),
        "curves": {
            name: [curve.steps.tolist(), curve.values.tolist()]
            for name, curve in read_run(work_dir).items()
            if name not in CLOCK
        },
    }


def logged(work_dir: Path) -> list[dict[str, Any]]:
    """Return the lines since the run last started at 0, without what depends on the clock.

    A start that was killed before its first checkpoint was another run; its lines stay in the logs.
    """
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    rows = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    begun = [i for i, row in enumerate(rows) if row["step"] == INTERVAL and "iter" in row]
    return [{k: v for k, v in row.items() if k not in CLOCK} for row in rows[begun[-1] :]]


def differences(found: Any, expected: Any, path: str = "") -> list[str]:
    """List the paths at which two outcomes are not equal bit by bit."""
    if type(found) is not type(expected):
        return [path]
    if isinstance(found, torch.Tensor):
        return [] if torch.equal(found, expected) else [path]
    if isinstance(found, dict):
        if found.keys() != expected.keys():
            return [path]
        pairs = [(f"{path}.{key}", found[key], expected[key]) for key in found]
    elif isinstance(found, list | tuple):
        if len(found) != len(expected):
            return [path]
        pairs = [(f"{path}[{i}]", found[i], expected[i]) for i in range(len(found))]
    else:
        return [] if found == expected else [path]
    return [name for key, a, b in pairs for name in differences(a, b, key)]


def campaign(folder: Path, runs: int, seed: int, exp: int | str = 0) -> tuple[int, list[str]]:
    """Compare disturbed runs with an undisturbed one; print a row for each run.

    Args:
        folder: folder for everything that is written.
        runs: number of disturbed runs.
        seed: seed for the moments of the kills.
        exp: experiment from GTA to Cityscapes.

    Returns:
        The number of kills, and what differs.
    """
    torch.set_num_threads(1)
    for name in IMPORTED_ONCE:
        import_module(name)
    gc.freeze()
    make_toy_data(folder / "toy", ToySettings(6, 4, 2, 2), nproc=1, sets=("gta", "cityscapes"))
    cfg = fastest_config(folder / "toy", folder, exp)
    before = time.monotonic()
    killed(start(cfg, folder / "whole"), float("inf"))
    seconds = time.monotonic() - before
    expected = outcome(folder / "whole")
    rng, kills, wrong = random.Random(seed), 0, []
    print(f"undisturbed: {seconds:.1f} s, {ITERATIONS} iterations\n\nrun  kills  differences")
    for i in range(runs):
        own = disturbed_run(cfg, folder / f"run{i}", seconds, rng)
        found = differences(outcome(folder / f"run{i}"), expected)
        print(f"{i:3}  {own:5}  {', '.join(found[:3]) or 'none'}", flush=True)
        kills += own
        wrong += [f"run {i}: {name}" for name in found]
    return kills, wrong


def main(argv: list[str] | None = None) -> int:
    """Run the campaign; return 1 if anything differs, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.kills", description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="number of disturbed runs (50)")
    parser.add_argument("--seed", type=int, default=0, help="seed for the moments of the kills (0)")
    which = "experiments from GTA to Cityscapes, in tiny (0)"
    parser.add_argument("--exp", type=experiment, nargs="+", default=[0], metavar="N", help=which)
    args = parser.parse_args(argv)
    differ = False
    for exp in args.exp:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            start_quickly(patch)
            print(f"{describe(exp)}\n")
            kills, wrong = campaign(Path(folder), args.runs, args.seed, exp)
        print(f"\n{kills} kills, {len(wrong)} differences")
        differ |= bool(wrong)
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
