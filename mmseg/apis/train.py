"""Train what a config describes."""

import os
import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.device import utils as device_utils
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmseg.engine.distributed import (
    Launcher,
    failing_alone,
    of_main,
    process_group,
    raised_together,
)
from mmseg.engine.performance import Performance
from mmseg.engine.runner import TrainRunner
from mmseg.models.backbones.pretrained import check_is_there
from mmseg.utils import (
    InputError,
    atomic_path,
    built_from_config,
    check_writable,
    undone_on_error,
)
from mmseg.utils.config import store_config
from mmseg.utils.config_check import check_config
from mmseg.utils.legacy_config import check_trainable
from mmseg.utils.revision import git_revision

from .init_model import pretrained_files, select_device, without_pretrained

# A file in the work dir that holds the number of iterations of a complete run.
FINISHED = "finished"
NEEDED = ("model", "train_dataloader", "train_cfg", "optim_wrapper")


def train(
    cfg: Config,
    device: str = "auto",
    resume: bool = False,
    from_scratch: bool = False,
    seed: int | None = None,
    deterministic: bool = False,
    launcher: Launcher | None = None,
) -> Runner:
    """Train, evaluate on schedule, and leave checkpoints and logs in ``cfg.work_dir``.

    In a distributed run every process calls this alike; the main one alone writes.

    Args:
        cfg: a whole config; it is not changed. A copy without bases is stored in the work dir
            under the name of its file, with the revision of the code (``git_rev``). ``validate =
            False`` leaves out the evaluation.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        resume: go on from the work dir's last checkpoint exactly as if nothing had happened.
        from_scratch: leave out the ImageNet weights that the config names.
        seed: instead of the config's; one is drawn if neither names one.
        deterministic: two runs of one seed are bit-equal on one kind of device.
        launcher: who started this process and others with it, see :func:`process_group`; None:
            what the config says.

    Raises:
        InputError: see :func:`check_config`; no such device; a work dir that cannot be written or
            holds another run; nothing to resume; data or weights that are missing or damaged.
            Nothing new is left in the work dir if this is before the first iteration is done.
    """
    cfg = cfg.copy()
    launcher = launcher or cfg.get("launcher") or "none"
    target = select_device(device)
    # mmengine picks a device once for the whole process.
    device_utils.DEVICE = target.type
    with process_group(launcher, target, (cfg.get("env_cfg") or {}).get("dist_cfg") or {}):
        drawn = of_main(int(np.random.SeedSequence().generate_state(1)[0]))
        with raised_together():
            Performance.of(cfg).set_backends()
            cfg.default_scope = cfg.get("default_scope") or "mmseg"
            init_default_scope("mmseg")
            check_config(cfg)
            _check_parts(cfg)
            _set_randomness(cfg, seed, drawn, deterministic, resume)
            checkpoint = latest_checkpoint(Path(cfg.work_dir)) if resume else None
            if from_scratch:
                cfg.model = without_pretrained(cfg.model)
        return _train(cfg, checkpoint, launcher)


def _train(cfg: Config, checkpoint: Path | None, launcher: Launcher) -> Runner:
    work_dir = Path(cfg.work_dir)
    runner = None
    undo = undone_on_error(work_dir, keep=lambda: runner is not None and runner.started)
    with undo if is_main_process() else nullcontext(), failing_alone():
        with raised_together():
            if is_main_process():
                _prepare(work_dir, cfg, checkpoint)
            _choose_weights(cfg, checkpoint)
        # Not stored: a run may be resumed in another way.
        cfg.launcher = launcher
        if cfg.get("validate") is False:
            cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        with raised_together(), built_from_config("hooks, visualizer or environment"):
            runner = TrainRunner.from_cfg(cfg)
        runner.logger.info(f"git revision of the code: {cfg.get('git_rev') or 'unknown'}")
        runner.train()
    if is_main_process():
        (work_dir / FINISHED).write_text(str(runner.iter))
    return runner


def _prepare(work_dir: Path, cfg: Config, checkpoint: Path | None) -> None:
    """See that the work dir can be used, tidy it up, and leave the config in it."""
    if checkpoint is None:
        check_unused(work_dir)
    check_writable(work_dir, "--work-dir")
    if checkpoint is not None:
        for unfinished in work_dir.glob(".iter_*.pth"):
            unfinished.unlink()
    _store(cfg)


def check_unused(work_dir: Path) -> None:
    """See that no other run has left its checkpoints in ``work_dir``.

    Raises:
        InputError: one has.
    """
    if any(work_dir.glob("iter_*.pth")):
        raise InputError(
            f"{work_dir} holds the checkpoints of another run: --resume goes on with it, "
            "--work-dir chooses another folder"
        )


def _check_parts(cfg: Config) -> None:
    check_trainable(cfg)
    for key in NEEDED:
        if not isinstance(cfg.get(key), dict):
            raise InputError(f"the config has no {key}: set {key} = dict(...)")
    if not cfg.get("work_dir"):
        raise InputError("the config has no work_dir: give --work-dir")


def _set_randomness(
    cfg: Config, seed: int | None, drawn: int, deterministic: bool, resume: bool
) -> None:
    randomness = dict(cfg.get("randomness") or {})
    own = randomness.get("seed")
    if seed is not None:
        if resume and own not in (None, seed):
            raise InputError(f"the run to resume has seed {own}, not {seed}: leave out --seed")
        randomness["seed"] = seed
    elif own is None:
        randomness["seed"] = drawn
    if deterministic:
        randomness["deterministic"] = True
    if randomness.get("deterministic"):
        # Read by cuBLAS when the first CUDA context is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cfg.randomness = randomness


def _store(cfg: Config) -> None:
    """Write the config, before it names a checkpoint to resume, into its work dir."""
    cfg.git_rev = git_revision()
    with atomic_path(Path(cfg.work_dir) / Path(cfg.filename or "config.py").name) as temporary:
        store_config(cfg, temporary)


def _choose_weights(cfg: Config, checkpoint: Path | None) -> None:
    """What the run starts with: a checkpoint to resume, that of another run, or ImageNet's."""
    cfg.resume = checkpoint is not None
    if checkpoint:
        cfg.load_from = str(checkpoint)
    if cfg.get("load_from"):
        cfg.model = without_pretrained(cfg.model)
    for path in pretrained_files(cfg.model):
        check_is_there(path)


def latest_checkpoint(work_dir: Path) -> Path:
    """The checkpoint of the highest iteration in ``work_dir``.

    Checkpoints are moved into place when they are whole, so the last one there is good, whatever
    ended the run.

    Raises:
        InputError: there is none.
    """
    found = {
        int(match.group(1)): path
        for path in work_dir.glob("iter_*.pth")
        if (match := re.fullmatch(r"iter_(\d+)\.pth", path.name))
    }
    if not found:
        raise InputError(f"nothing to resume: no iter_*.pth in {work_dir}; train without --resume")
    return found[max(found)]


def finished(cfg: Config) -> bool:
    """Whether the run in ``cfg.work_dir`` was trained and evaluated to its last iteration."""
    note = Path(cfg.work_dir) / FINISHED
    return note.is_file() and note.read_text() == str(cfg.train_cfg.max_iters)
