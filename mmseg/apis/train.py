"""Train a config."""

import errno
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from logging.handlers import MemoryHandler
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmseg.config_check import check_config
from mmseg.datasets.loader import loader_errors
from mmseg.engine.distributed import (
    Launcher,
    broadcast_from_rank0,
    name_failing_rank,
    process_group,
    raise_on_all_ranks,
)
from mmseg.engine.hooks import ConsoleHook, FirstResultHook, PhaseTimeHook
from mmseg.engine.logs import log_to_file_of, python_warnings_kept
from mmseg.engine.optim import StudentOptimWrapper
from mmseg.engine.performance import Performance
from mmseg.engine.runner import TrainRunner
from mmseg.models.backbones.pretrained import check_is_there
from mmseg.utils import (
    InputError,
    Interrupted,
    atomic_path,
    built_from_config,
    remove_unfinished,
    undone_on_error,
)
from mmseg.utils.config import store_config
from mmseg.utils.environment import environment
from mmseg.utils.legacy_config import check_trainable
from mmseg.utils.work_dir import (
    check_unused,
    drop_repeated,
    git_revision,
    latest_checkpoint,
    locked,
)

from .dry_run import check_together
from .init_model import needs_pretrained, pretrained_files, select_device, without_pretrained

# File in the work dir with the number of iterations of a finished run.
FINISHED = "finished"
# File in the folder of each start's logs with hardware and versions.
ENVIRONMENT = "environment.json"
# Errors of a full disk or quota, or of a file that is too large for its file system.
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
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
    """Train, evaluate on schedule, and write checkpoints and logs to ``cfg.work_dir``.

    The console shows what is trained, the progress and the scores; everything else is logged.

    In a distributed run every process calls this in the same way; only rank 0 writes.

    Args:
        cfg: a complete config, which is not changed. A copy without bases is stored in the work dir
            under the name of its file, with the revision of the code (``git_rev``). ``validate =
            False`` switches off evaluation.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        resume: whether to resume from the last checkpoint in the work dir; the result equals that
            of an uninterrupted run.
        from_scratch: whether to ignore the ImageNet weights that the config names.
        seed: replaces the seed of the config; if both are None, a random one is drawn.
        deterministic: whether two runs with the same seed are bit-equal on one type of device.
        launcher: program that started the processes, see :func:`process_group`; None: as the config
            says.

    Raises:
        InputError: for wrong settings (see :func:`check_config`) or devices; a work dir that cannot
            be written, contains another run or is in use; nothing to resume; missing or damaged
            data or weights; a full disk. Before the end of the first iteration any error leaves the
            work dir unchanged.
    """
    cfg = cfg.copy()
    launcher = launcher or cfg.get("launcher") or "none"
    target = select_device(device)
    with (
        process_group(launcher, target, (cfg.get("env_cfg") or {}).get("dist_cfg") or {}),
        python_warnings_kept() as kept,
    ):
        drawn = broadcast_from_rank0(int(np.random.SeedSequence().generate_state(1)[0]))
        with raise_on_all_ranks():
            Performance.of(cfg).set_backends()
            cfg.default_scope = cfg.get("default_scope") or "mmseg"
            init_default_scope("mmseg")
            check_config(cfg)
            _check_parts(cfg)
            check_together(cfg)
            _set_randomness(cfg, seed, drawn, deterministic, resume)
            if from_scratch:
                cfg.model = without_pretrained(cfg.model)
        cfg.git_rev = git_revision()
        first_result = FirstResultHook(partial(_begin, cfg.copy()))
        with ExitStack() as stack, name_failing_rank():
            with raise_on_all_ranks():
                if is_main_process():
                    stack.enter_context(locked(Path(cfg.work_dir), "--work-dir"))
                    stack.enter_context(
                        undone_on_error(cfg.work_dir, keep=lambda: first_result.reached)
                    )
                    _prepare(cfg, resume)
                _choose_weights(cfg, resume)
            # Not stored: a run may be resumed differently.
            cfg.launcher, cfg.device = launcher, target.type
            with _ends_with_advice(Path(cfg.work_dir)), loader_errors():
                return _train(cfg, first_result, kept)


def _train(cfg: Config, first_result: FirstResultHook, kept: MemoryHandler) -> Runner:
    if cfg.get("validate") is False:
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    with raise_on_all_ranks(), built_from_config("hooks, visualizer or environment"):
        runner = TrainRunner.from_cfg(cfg)
    log_to_file_of(runner.logger, kept)
    runner.logger.info(f"git revision of the code: {cfg.git_rev or 'unknown'}")
    console = ConsoleHook()
    for hook in (first_result, console):
        runner.register_hook(hook)
    try:
        runner.train()
    except BaseException:
        runner.logger.info("the run has ended with an error", exc_info=True)  # only in the file
        runner.call_hook("after_failure")
        raise
    finally:
        console.close()
        if isinstance(runner.optim_wrapper, StudentOptimWrapper):
            runner.optim_wrapper.stop_exchange()
        for hook in runner.hooks:
            if isinstance(hook, PhaseTimeHook):
                hook.stop()
    if is_main_process():
        with atomic_path(Path(cfg.work_dir) / FINISHED) as temporary:
            temporary.write_text(str(runner.iter))
    return runner


def _prepare(cfg: Config, resume: bool) -> None:
    """Check that the work dir belongs to this run, and remove unfinished files."""
    work_dir = Path(cfg.work_dir)
    if not resume:
        check_unused(work_dir)
    pictures = ("debug/*.png", "validation/image/*.jpg", "validation/*/*.png")
    for name in ("iter_*.pth", "best_*.pth", *pictures, FINISHED, _config_name(cfg)):
        remove_unfinished(work_dir / name)
    # Each start needs a separate folder for logs, which is named after the second.
    while Path(work_dir, time.strftime("%Y%m%d_%H%M%S")).exists():
        time.sleep(0.05)


def _begin(cfg: Config, runner: Runner, evaluated: bool) -> None:
    """Store config and environment and clean the logs when a run has its first result.

    Args:
        cfg: config to store, without a checkpoint to resume.
        runner: the runner.
        evaluated: whether the resumed checkpoint contains the scores of its iteration.
    """
    if not is_main_process():
        return
    with atomic_path(Path(cfg.work_dir) / _config_name(cfg)) as temporary:
        store_config(cfg, temporary)
    found = environment(torch.device(runner.cfg.device)) | {"processes": runner.world_size}
    with atomic_path(Path(runner.log_dir, ENVIRONMENT)) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if runner.iter > 0:
        drop_repeated(Path(cfg.work_dir), runner.timestamp, runner.iter, evaluated)


def _config_name(cfg: Config) -> str:
    return Path(cfg.filename or "config.py").name


@contextmanager
def _ends_with_advice(work_dir: Path) -> Iterator[None]:
    """Say in the errors of a full disk and of an interruption how to continue the run.

    Raises:
        InputError: instead of an ``OSError``.
        Interrupted: instead of a ``KeyboardInterrupt``; rank 0 prints it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise InputError(
            f"cannot write {error.filename or work_dir} ({error.strerror}): make space, and "
            f"{_way_on(work_dir)}"
        ) from error
    except KeyboardInterrupt as error:
        raise Interrupted(_way_on(work_dir), tell=is_main_process()) from error


def _way_on(work_dir: Path) -> str:
    try:
        return f"--resume goes on from {latest_checkpoint(work_dir).name}"
    except InputError:
        return "start again"


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
        # cuBLAS reads this when the first CUDA context is created.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cfg.randomness = randomness


def _choose_weights(cfg: Config, resume: bool) -> None:
    """Choose the initial weights: a checkpoint to resume, one of another run, or ImageNet's."""
    cfg.resume = resume
    if resume:
        cfg.load_from = str(latest_checkpoint(Path(cfg.work_dir)))
    if cfg.get("load_from") and not needs_pretrained(cfg.model):
        cfg.model = without_pretrained(cfg.model)
    for path in pretrained_files(cfg.model):
        check_is_there(path)


def finished(cfg: Config) -> bool:
    """Tell whether the run in ``cfg.work_dir`` was trained and evaluated to its last iteration."""
    note = Path(cfg.work_dir) / FINISHED
    return note.is_file() and note.read_text() == str(cfg.train_cfg.max_iters)
