"""Variants of any experiment: on the source only, shorter, or as a small copy."""

import argparse
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

#: Settings that ``SourceOnly`` shares with the methods.
SHARED = (
    "segmentor",
    "data_preprocessor",
    "augment_source_and_target",
    "color_jitter_strength",
    "color_jitter_threshold",
    "blur",
)


def suffix(args: argparse.Namespace) -> str:
    """Return what the variant adds to the names of runs."""
    source_only = "_source_only" * args.source_only
    short = "" if args.short is None else f"_short{args.short:g}"
    return source_only + short + "_debug" * args.debug


def vary(cfg: Config, args: argparse.Namespace, toy_root: Path) -> None:
    """Change a config in place as ``--source-only``, ``--short`` and ``--debug`` say."""
    if args.source_only:
        train_on_source_only(cfg)
    if args.short is not None:
        scale_schedule(cfg, max(1, round(cfg.train_cfg.max_iters * args.short)))
    if args.debug:
        from .shrink import shrink  # late, to keep --help fast

        shrink(cfg, toy_root)


def train_on_source_only(cfg: Config) -> None:
    """Change a config in place to the baseline: the same network, source images and schedule.

    Images are augmented as the method augments those of the source.

    Raises:
        InputError: if the model is not a domain-adaptation method.
    """
    from mmseg.models.uda import method_class

    method_class(cfg.model)
    settings = {name: cfg.model[name] for name in SHARED if name in cfg.model}
    cfg.model = ConfigDict(type="SourceOnly", **settings)
    cfg.train_dataloader.dataset.target = None


def scale_schedule(cfg: Config, iterations: int) -> None:
    """Change a config in place to another number of iterations.

    Learning rates, evaluations, checkpoints, panels and losses that start late come at the same
    shares of the run.
    """
    from mmseg.models.uda import method_class

    share = iterations / cfg.train_cfg.max_iters

    def scaled(count: int, least: int = 1) -> int:
        return max(least, round(count * share))

    cfg.train_cfg.max_iters = iterations
    cfg.train_cfg.val_interval = scaled(cfg.train_cfg.get("val_interval", iterations))
    for scheduler in cfg.param_scheduler:
        scheduler.end = scaled(scheduler.end - 1, least=2) + 1
        if "begin" in scheduler:
            scheduler.begin = scaled(scheduler.begin, least=0)
    hooks: dict[str, Any] = cfg.get("default_hooks") or {}
    for name in ("checkpoint", "panels"):
        if "interval" in hooks.get(name, {}):
            hooks[name].interval = scaled(hooks[name].interval)
    for name in ("logger", "runtime_info"):
        if "interval" in hooks.get(name, {}):
            hooks[name].interval = min(hooks[name].interval, max(1, iterations // 10))
    method_class(cfg.model).scale_schedule(cfg.model, share)


def share_of_run(text: str) -> float:
    """Parse the value of ``--short``, a number above 0 and at most 1, as the type of an option."""
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0 and at most 1, got {text!r}")
    return share
