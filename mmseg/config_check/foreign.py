"""Types of settings of mmengine's and torch's classes, and of dicts without a class."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from mmengine.hooks import CheckpointHook, Hook, LoggerHook
from mmengine.optim import OptimWrapper
from mmengine.optim import scheduler as schedulers
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    LogProcessor,
    Runner,
    TestLoop,
)
from mmengine.visualization import Visualizer
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from typing_extensions import TypedDict

from mmseg.datasets.rare_class_sampling import RareClassSampling
from mmseg.engine.distributed import Launcher
from mmseg.engine.loops import ValLoop
from mmseg.engine.performance import Performance
from mmseg.utils.setting_types import Fraction

Never = Literal[-1]
Beta = Annotated[float, Field(ge=0, lt=1)]
PriorityName = Literal[
    "HIGHEST",
    "VERY_HIGH",
    "HIGH",
    "ABOVE_NORMAL",
    "NORMAL",
    "BELOW_NORMAL",
    "LOW",
    "VERY_LOW",
    "LOWEST",
]
LogLevel = Literal["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET"]


class Environment(TypedDict, total=False):
    """Type of ``env_cfg``."""

    cudnn_benchmark: bool
    mp_cfg: "MultiProcessing"
    dist_cfg: dict
    resource_limit: PositiveInt


class MultiProcessing(TypedDict, total=False):
    """Type of ``env_cfg.mp_cfg``."""

    mp_start_method: Literal["fork", "spawn", "forkserver"]
    opencv_num_threads: int


class Randomness(TypedDict, total=False):
    """Type of ``randomness``."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] | None
    diff_rank_seed: bool
    deterministic: bool


class AutoScaleLR(TypedDict, total=False):
    """Type of ``auto_scale_lr``."""

    enable: bool
    base_batch_size: PositiveInt


class ClipGrad(TypedDict, total=False):
    """Type of ``optim_wrapper.clip_grad``: arguments of torch's functions."""

    type: Literal["norm", "value"]
    max_norm: PositiveFloat
    norm_type: PositiveFloat
    error_if_nonfinite: bool
    foreach: bool | None
    clip_value: PositiveFloat


class Loader(TypedDict, total=False):
    """Settings of a data loader that mmengine handles itself."""

    dataset: dict
    sampler: dict
    collate_fn: dict
    num_batch_per_epoch: PositiveInt | None
    disable_subprocess_warning: bool


class TopLevel(TypedDict, total=False):
    """Top-level settings of mmseg, next to those of the Runner."""

    aug_test: bool
    exp: Any
    git_rev: Any
    not_for_training: list | None
    performance: Mapping | None
    sync_bn: Literal["torch"] | None
    tta_model: dict | None
    tta_pipeline: list | None
    validate: bool


class Common(TypedDict, total=False):
    """Settings that registry and Runner remove from a config before building."""

    type: Any
    _scope_: str
    _delete_: bool
    priority: PriorityName | Annotated[int, Field(ge=0, le=100)]
    constructor: str
    paramwise_cfg: dict | None
    convert_to_iter_based: bool
    override: dict | list


class ByEpoch(TypedDict, total=False):
    """Setting that selects the training loop if no type is named."""

    by_epoch: bool


#: Path of a dict without ``type``, or "*.<name>" for any path -> the classes of its settings.
UNTYPED: dict[str, tuple[Any, ...]] = {
    "train_dataloader": (DataLoader, Loader),
    "val_dataloader": (DataLoader, Loader),
    "test_dataloader": (DataLoader, Loader),
    "train_cfg": (EpochBasedTrainLoop, IterBasedTrainLoop, ByEpoch),
    "val_cfg": (ValLoop,),
    "test_cfg": (TestLoop,),
    "optim_wrapper": (OptimWrapper,),
    "log_processor": (LogProcessor,),
    "performance": (Performance,),
    "*.rare_class_sampling": (RareClassSampling,),
}
_SPAN = {"begin": NonNegativeInt, "end": PositiveInt, "last_step": Annotated[int, Field(ge=-1)]}
_EVALUATED = {"val_begin": NonNegativeInt, "val_interval": PositiveInt}
#: More exact types of the settings of other packages' classes, also for subclasses.
FOREIGN: dict[Any, dict[str, Any]] = {
    Runner: {
        "work_dir": str | os.PathLike | None,
        "load_from": str | os.PathLike | None,
        "default_hooks": Mapping[str, Hook | dict | None] | None,
        "env_cfg": Environment,
        "auto_scale_lr": AutoScaleLR | None,
        "randomness": Randomness | None,
        "launcher": Launcher,
        "log_level": LogLevel,
    },
    IterBasedTrainLoop: {"max_iters": PositiveInt, **_EVALUATED},
    EpochBasedTrainLoop: {"max_epochs": PositiveInt, **_EVALUATED},
    LogProcessor: {"window_size": PositiveInt, "by_epoch": bool, "num_digits": NonNegativeInt},
    LoggerHook: {"interval": PositiveInt, "interval_exp_name": PositiveInt},
    CheckpointHook: {
        "interval": Never | PositiveInt,
        "max_keep_ckpts": Never | PositiveInt,
        "save_begin": NonNegativeInt,
        "rule": Literal["greater", "less"] | list[Literal["greater", "less"]] | None,
    },
    Visualizer: {"vis_backends": list[dict] | tuple[dict, ...] | None},
    OptimWrapper: {"accumulative_counts": PositiveInt, "clip_grad": ClipGrad | None},
    Optimizer: {
        "lr": NonNegativeFloat,
        "betas": tuple[Beta, Beta],
        "weight_decay": NonNegativeFloat,
        "momentum": NonNegativeFloat,
    },
    schedulers.ConstantParamScheduler: {**_SPAN, "factor": Fraction},
    schedulers.CosineAnnealingParamScheduler: {
        **_SPAN,
        "T_max": PositiveInt | None,
        "eta_min": NonNegativeFloat | None,
    },
    schedulers.ExponentialParamScheduler: {**_SPAN, "gamma": PositiveFloat},
    schedulers.LinearParamScheduler: {**_SPAN, "start_factor": Fraction, "end_factor": Fraction},
    schedulers.MultiStepParamScheduler: {**_SPAN, "gamma": PositiveFloat},
    schedulers.PolyParamScheduler: {
        **_SPAN,
        "power": PositiveFloat,
        "eta_min": NonNegativeFloat,
    },
    schedulers.StepParamScheduler: {**_SPAN, "step_size": PositiveInt, "gamma": PositiveFloat},
    DataLoader: {
        "batch_size": PositiveInt,
        "num_workers": NonNegativeInt,
        "prefetch_factor": PositiveInt | None,
        "timeout": NonNegativeFloat,
    },
}
