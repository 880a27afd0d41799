"""Train what a config describes."""

import re
from pathlib import Path

from mmengine.config import Config
from mmengine.device import utils as device_utils
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmseg.engine.runner import TrainRunner
from mmseg.models.backbones.pretrained import check_is_there
from mmseg.utils import InputError, built_from_config, check_writable, undone_on_error
from mmseg.utils.config_check import check_config

from .init_model import pretrained_files, select_device, without_pretrained

NEEDED = ("model", "train_dataloader", "train_cfg", "optim_wrapper")


def train(
    cfg: Config, device: str = "auto", resume: bool = False, from_scratch: bool = False
) -> Runner:
    """Train, evaluate on schedule, and leave checkpoints and logs in ``cfg.work_dir``.

    Args:
        cfg: a whole config; it is not changed. Its resolved copy is stored in the work dir under
            the name of its file.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        resume: go on from the work dir's last checkpoint exactly as if nothing had happened.
        from_scratch: leave out the ImageNet weights that the config names.

    Raises:
        InputError: see :func:`check_config`; no such device; a work dir that cannot be written;
            nothing to resume; data or weights that are missing or damaged. Nothing new is left in
            the work dir if this is before the first iteration is done.
    """
    cfg = cfg.copy()
    # mmengine picks a device once for the whole process.
    device_utils.DEVICE = select_device(device).type
    init_default_scope("mmseg")
    check_config(cfg)
    for key in NEEDED:
        if not isinstance(cfg.get(key), dict):
            raise InputError(f"the config has no {key}: set {key} = dict(...)")
    if not cfg.get("work_dir"):
        raise InputError("the config has no work_dir: give --work-dir")
    work_dir = Path(cfg.work_dir)
    if resume:
        cfg.resume = True
        cfg.load_from = str(latest_checkpoint(work_dir))
    if cfg.get("load_from") or from_scratch:
        cfg.model = without_pretrained(cfg.model)
    for path in pretrained_files(cfg.model):
        check_is_there(path)
    runner = None
    with undone_on_error(work_dir, keep=lambda: runner is not None and runner.iter > 0):
        check_writable(work_dir, "--work-dir")
        with built_from_config("hooks, visualizer or environment"):
            runner = TrainRunner.from_cfg(cfg)
        runner.train()
    return runner


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
    """Whether the last checkpoint in ``cfg.work_dir`` is that of the last iteration."""
    return (Path(cfg.work_dir) / f"iter_{cfg.train_cfg.max_iters}.pth").is_file()
