"""Translate the training of an old config: optimizer, schedule, intervals, seed."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.utils.errors import InputError

from .section import Section

# Settings that old configs do not have.
_RUNTIME = Path(__file__).parents[3] / "configs" / "_base_" / "default_runtime.py"


def metrics_of(old: Section) -> list[str]:
    """Choose the means of IoU to report; the first is over all classes.

    SYNTHIA lacks terrain, truck and train, so that its results are means over fewer classes.
    """
    train = old.section("data").node.get("train")
    source = train.get("source") if isinstance(train, dict) else None
    synthia = isinstance(source, dict) and source.get("type") == "SynthiaDataset"
    return ["mIoU", "mIoU16", "mIoU13"] if synthia else ["mIoU"]


def training_settings(old: Section, metrics: list[str]) -> dict[str, Any]:
    """Translate all settings but those of model, data and metrics.

    Args:
        old: the whole file.
        metrics: metrics of :func:`metrics_of`.
    """
    if not _RUNTIME.is_file():
        raise InputError(
            f"{_RUNTIME} is missing, which a config of mmseg 0.x is completed from: use a checkout "
            "of the project, installed with `pip install -e .`"
        )
    settings = Config.fromfile(_RUNTIME).to_dict()
    settings["log_level"] = old.take("log_level", str)
    settings["load_from"] = old.take("load_from", (str, type(None)), None)
    settings["env_cfg"]["cudnn_benchmark"] = old.take("cudnn_benchmark", bool, False)
    settings["env_cfg"]["dist_cfg"]["backend"] = old.section("dist_params").take("backend", str)
    hooks = settings["default_hooks"]
    hooks["runtime_info"]["interval"] = old.section("log_config").take("interval", int)
    hooks["logger"]["interval"] = hooks["runtime_info"]["interval"]
    hooks["panels"]["interval"] = old.section("uda").take("debug_img_interval", int)
    evaluation = old.section("evaluation")
    evaluation.only("metric", "mIoU", ["mIoU"])
    hooks["checkpoint"]["save_best"] = "mIoU16" if "mIoU16" in metrics else "mIoU"
    runner = old.section("runner")
    runner.only("type", "IterBasedRunner")
    max_iters = runner.take("max_iters", int)
    settings["train_cfg"] = {
        "type": "IterBasedTrainLoop",
        "max_iters": max_iters,
        "val_interval": evaluation.take("interval", int),
    }
    return settings | {
        "optim_wrapper": _optim_wrapper(old),
        "param_scheduler": _schedule(old.section("lr_config"), max_iters),
        "randomness": {"seed": old.take("seed", (int, type(None)), None)},
        "experiment_name": old.take("name", str),
        **old.take_all("exp"),
    }


def _optim_wrapper(old: Section) -> dict[str, Any]:
    old.only("optimizer_config", None, {}, {"grad_clip": None}, required=False)
    optimizer = old.take("optimizer", dict)
    paramwise = {"paramwise_cfg": optimizer.pop("paramwise_cfg", None) or {}}
    constructor = "StudentOptimWrapperConstructor"
    return {"type": "OptimWrapper", "constructor": constructor, "optimizer": optimizer, **paramwise}


def _schedule(lr: Section, max_iters: int) -> list[dict[str, Any]]:
    """Make a polynomial schedule with linear warm-up; mmengine's ``end`` is exclusive."""
    lr.only("policy", "poly")
    lr.only("warmup", "linear")
    lr.only("by_epoch", False)
    poly = {"type": "PolyLR", "power": lr.take("power"), "eta_min": lr.take("min_lr")}
    warmup = {"type": "LinearLR", "start_factor": lr.take("warmup_ratio")}
    ends = (max_iters, lr.take("warmup_iters", int))
    return [
        {**scheduler, "by_epoch": False, "end": end + 1}
        for scheduler, end in zip((poly, warmup), ends, strict=True)
    ]
