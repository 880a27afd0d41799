"""The experiments of the paper as rows of one table, and the configs they stand for.

``python run_experiments.py --exp N`` trains row N. A row names a task, a network, a variant of the
contrast and a recipe; :func:`generate_experiment_cfgs` turns it into configs that inherit from
``configs/_base_``. To add an experiment add a row.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from mmengine.config import Config

from mmseg.utils import InputError

Method = Literal["sepico", "source_only"]


@dataclass(frozen=True)
class Task:
    """Two domains: what is learnt where, and how its data is cropped and masked.

    Attributes:
        dataset: file in ``configs/_base_/datasets``.
        source, target, split: names for people; ``split`` is what published results are on.
        ignored_edges: whether the target's data set has edges without pseudo-labels; a part of the
            run's name.
        uda: file in ``configs/_base_/uda`` for SePiCo on this task.
        class_weights: whether classes weigh differently in the pseudo-labels, in the decoder's loss
            and in testing; the network's file is then the one that ends with ``_night``.
        best: the score of the checkpoint that is kept as the best one.
    """

    dataset: str
    source: str
    target: str
    split: str
    ignored_edges: bool = True
    uda: str = "sepico"
    class_weights: bool = False
    best: str = "mIoU"


@dataclass(frozen=True)
class Network:
    """A segmentor: file in ``configs/_base_/models``, its parts' names, its optimizer groups."""

    model: str
    decoder: str
    encoder: str
    levels: str
    custom_keys: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How long, how fast and with which thresholds; the defaults are the paper's."""

    max_iters: int = 40000
    seed: int = 76
    lr: float = 6e-5
    head_lr_mult: float = 10.0
    warmup_iters: int = 1500
    batch_size: int = 2
    val_interval: int = 1000
    log_interval: int = 50
    checkpoint_interval: int = 1000
    panel_interval: int = 1000
    alpha: float = 0.999
    pseudo_threshold: float = 0.968
    crop_size: tuple[int, int] = (640, 640)
    start_contrast_iter: int = 3000
    temperature: float = 100.0
    regularizer_weight: float = 1.0
    contrast_weight: float = 1.0
    rcs_temperature: float = 0.01
    feature_dim: int = 512


@dataclass(frozen=True)
class Experiment:
    """One row: its runs are ``stages`` in order, each after the first starting from the first."""

    task: str
    network: str
    variant: Literal["dist", "bank", "proto"]
    recipe: str = "paper"
    published_miou: float | None = None
    stages: tuple[Method, ...] = ("sepico",)


TITLES: dict[Method, str] = {"sepico": "SePiCo", "source_only": "source only"}
TASKS = {
    "gta2cs": Task("uda_gta_to_cityscapes_640x640", "GTA", "Cityscapes", "val"),
    "syn2cs": Task(
        "uda_synthia_to_cityscapes_640x640",
        "SYNTHIA",
        "Cityscapes",
        "val, 16 classes",
        best="mIoU16",
    ),
    "cs2dz": Task(
        "uda_cityscapes_to_dark_zurich_640x640",
        "Cityscapes",
        "Dark Zurich",
        "test",
        ignored_edges=False,
        uda="sepico_dark",
        class_weights=True,
    ),
    "toy2city": Task(
        "uda_toy_gta_to_toy_cityscapes_128x128", "toy GTA", "toy Cityscapes", "val", False
    ),
    "toysyn2city": Task(
        "uda_toy_synthia_to_toy_cityscapes_128x128",
        "toy SYNTHIA",
        "toy Cityscapes",
        "val, 16 classes",
        ignored_edges=False,
        best="mIoU16",
    ),
    "toycity2dark": Task(
        "uda_toy_cityscapes_to_toy_dark_zurich_128x128",
        "toy Cityscapes",
        "toy Dark Zurich",
        "val",
        ignored_edges=False,
        uda="sepico_dark",
        class_weights=True,
    ),
}
_MIT_KEYS = {"norm": {"decay_mult": 0.0}, "pos_block": {"decay_mult": 0.0}}
NETWORKS = {
    "toy": Network(
        "daformer_sepaspp_proj_r18v1c_toy", "daformer_sepaspp_proj", "r18v1c", "[0, 1, 2, 3]"
    ),
    "dlv2": Network("dlv2_proj_r101v1c", "dlv2_proj", "r101v1c", "3"),
    "daformer": Network(
        "daformer_sepaspp_proj_mitb5", "daformer_sepaspp_proj", "mitb5", "[0, 1, 2, 3]", _MIT_KEYS
    ),
}
RECIPES = {
    "paper": Recipe(),
    "paper by night": Recipe(max_iters=60000, seed=42),
    # A small network on small images without ImageNet weights, on a CPU: faster in every sense.
    "demo": Recipe(
        max_iters=400,
        seed=0,
        lr=2e-3,
        head_lr_mult=1.0,
        warmup_iters=20,
        val_interval=400,
        log_interval=20,
        checkpoint_interval=100,
        panel_interval=100,
        alpha=0.99,
        pseudo_threshold=0.9,
        crop_size=(128, 128),
        start_contrast_iter=20,
        feature_dim=64,
    ),
}
_DEMO_STAGES: tuple[Method, ...] = ("source_only", "source_only", "sepico")
EXPERIMENTS: dict[int | str, Experiment] = {
    0: Experiment("toy2city", "toy", "dist", "demo", stages=_DEMO_STAGES),
    1: Experiment("gta2cs", "dlv2", "dist", published_miou=61.0),
    2: Experiment("gta2cs", "dlv2", "bank", published_miou=59.8),
    3: Experiment("gta2cs", "dlv2", "proto", published_miou=58.8),
    4: Experiment("gta2cs", "daformer", "dist", published_miou=70.3),
    5: Experiment("gta2cs", "daformer", "bank", published_miou=68.7),
    6: Experiment("gta2cs", "daformer", "proto", published_miou=68.5),
    7: Experiment("cs2dz", "dlv2", "dist", "paper by night", published_miou=45.4),
    8: Experiment("cs2dz", "daformer", "dist", "paper by night", published_miou=54.2),
    9: Experiment("syn2cs", "dlv2", "dist", published_miou=58.1),
    10: Experiment("syn2cs", "dlv2", "bank", published_miou=57.4),
    11: Experiment("syn2cs", "dlv2", "proto", published_miou=56.8),
    12: Experiment("syn2cs", "daformer", "dist", published_miou=64.3),
    13: Experiment("syn2cs", "daformer", "bank", published_miou=63.3),
    14: Experiment("syn2cs", "daformer", "proto", published_miou=62.9),
    15: Experiment("cs2dz", "dlv2", "bank", "paper by night", published_miou=44.1),
    16: Experiment("cs2dz", "dlv2", "proto", "paper by night", published_miou=42.6),
    17: Experiment("cs2dz", "daformer", "bank", "paper by night", published_miou=53.3),
    18: Experiment("cs2dz", "daformer", "proto", "paper by night", published_miou=52.7),
    "synthia-demo": Experiment("toysyn2city", "toy", "dist", "demo", stages=_DEMO_STAGES),
    "night-demo": Experiment("toycity2dark", "toy", "dist", "demo", stages=_DEMO_STAGES),
}
VARIANT_NAMES = {"dist": "DistCL", "bank": "BankCL", "proto": "ProtoCL"}
# A value that a config takes over from its bases; config_text writes it as mmengine reads it.
_FROM_BASE = "{{{{_base_.{}}}}}"
_REFERENCE = r"\{\{_base_\.\w+\}\}"
MEMORY_LENGTH = {"dist": 0, "bank": 200, "proto": 0}


def describe(exp: int | str) -> str:
    """One line on an experiment for people."""
    row = EXPERIMENTS[exp]
    task, network = TASKS[row.task], NETWORKS[row.network]
    published = (
        f", published {row.published_miou} mIoU ({task.split})" if row.published_miou else ""
    )
    return (
        f"{exp}: {task.source} -> {task.target}, {network.decoder} on {network.encoder}, "
        f"{VARIANT_NAMES[row.variant]}{published}"
    )


def generate_experiment_cfgs(exp: int | str, seed: int | None = None) -> list[dict]:
    """The configs of an experiment, in the order in which they are to be trained.

    Args:
        exp: key of ``EXPERIMENTS``.
        seed: instead of the recipe's.

    Returns:
        Dicts for files in ``configs/generated`` (see :func:`config_text`): a ``_base_`` and what
        differs from it, with two keys beside: ``title`` for people and, if the run starts from the
        last weights of another, ``start_from``, the index of that one.

    Raises:
        InputError: there is no such experiment.
    """
    if exp not in EXPERIMENTS:
        known = ", ".join(map(str, EXPERIMENTS))
        raise InputError(
            f"there is no experiment {exp}: choose from {known}; --help describes them"
        )
    row = EXPERIMENTS[exp]
    configs = []
    for stage, method in enumerate(row.stages):
        config = _build(exp, row, method, RECIPES[row.recipe].seed if seed is None else seed)
        config["title"] = TITLES[method]
        if len(row.stages) > 1:
            part = "continued" if stage else "pretraining"
            config["experiment_name"] += f"_{part}"
        if stage == 0 and len(row.stages) > 1:
            config["title"] = "pretraining"
        if stage > 0:
            config["start_from"] = 0
        configs.append(config)
    return configs


def _build(exp: int | str, row: Experiment, method: Method, seed: int) -> dict:
    """The config of one run."""
    task, network, recipe = TASKS[row.task], NETWORKS[row.network], RECIPES[row.recipe]
    uda = task.uda if method == "sepico" else method
    bases = [
        "default_runtime.py",
        f"models/{network.model}{'_night' if task.class_weights else ''}.py",
        f"datasets/{task.dataset}.py",
        f"uda/{uda}.py",
        "schedules/adamw.py",
    ]
    config = {
        "_base_": [f"../_base_/{base}" for base in bases],
        "exp": exp,
        "experiment_name": _name(row, method, seed),
        # Bases may not share a name, so network and preprocessing come into the model from here.
        "model": {
            "segmentor": _FROM_BASE.format("segmentor"),
            "data_preprocessor": _FROM_BASE.format("data_preprocessor"),
        },
        "segmentor": None,
        "data_preprocessor": None,
        "randomness": {"seed": seed},
        "optim_wrapper": {
            "optimizer": {"lr": recipe.lr},
            "paramwise_cfg": {
                "custom_keys": {"head": {"lr_mult": recipe.head_lr_mult}, **network.custom_keys}
            },
        },
        "param_scheduler": poly_with_warmup(recipe.max_iters, recipe.warmup_iters),
        "train_cfg": {"max_iters": recipe.max_iters, "val_interval": recipe.val_interval},
        "default_hooks": {
            "runtime_info": {"interval": recipe.log_interval},
            "logger": {"interval": recipe.log_interval},
            "checkpoint": {"interval": recipe.checkpoint_interval},
            "panels": {"interval": recipe.panel_interval},
        },
        "train_dataloader": {
            "batch_size": recipe.batch_size,
            "dataset": {"rare_class_sampling": {"class_temp": recipe.rcs_temperature}},
        },
    }
    if task.best != "mIoU":
        config["default_hooks"]["checkpoint"]["save_best"] = task.best
    if task.class_weights:
        config |= {"train_class_weight": None, "test_class_weight": None}
    if method == "sepico":
        config["model"] |= _sepico_settings(row, task, recipe)
    else:
        config["train_dataloader"]["dataset"]["target"] = None
    return config


def _sepico_settings(row: Experiment, task: Task, recipe: Recipe) -> dict:
    """What differs from ``configs/_base_/uda`` in the model."""
    weight = {"class_weight": _FROM_BASE.format("train_class_weight")} if task.class_weights else {}
    return weight | {
        "alpha": recipe.alpha,
        "pseudo_threshold": recipe.pseudo_threshold,
        "start_contrast_iter": recipe.start_contrast_iter,
        "crop_size": list(recipe.crop_size),
        "contrast": {
            "variant": row.variant,
            "temperature": recipe.temperature,
            "regularizer_weight": recipe.regularizer_weight,
            "loss_weight": recipe.contrast_weight,
        },
        "prototypes": {
            "memory_length": MEMORY_LENGTH[row.variant],
            "feature_dim": recipe.feature_dim,
        },
    }


def config_text(config: dict) -> str:
    """A config of :func:`generate_experiment_cfgs` as the text of a Python config file.

    It opens with the command that runs it and the published result.
    """
    exp = config["exp"]
    config = {key: value for key, value in config.items() if key not in ("title", "start_from")}
    lines = [f"# {describe(exp)}", f"# python run_experiments.py --exp {exp}"]
    text = Config(config).pretty_text
    return "\n".join(lines) + "\n" + re.sub(rf"'({_REFERENCE})'", r"\1", text)


def poly_with_warmup(max_iters: int, warmup_iters: int) -> list[dict]:
    """lr(t) = base * (1 - t / T), times a line from 1e-6 at t = 0 to 1 at the warm-up's end.

    mmengine counts the last point of a schedule: its ``end`` is one more than the iterations.
    """
    return [
        {"type": "PolyLR", "power": 1.0, "eta_min": 0.0, "by_epoch": False, "end": max_iters + 1},
        {"type": "LinearLR", "start_factor": 1e-6, "by_epoch": False, "end": warmup_iters + 1},
    ]


def _name(row: Experiment, method: Method, seed: int) -> str:
    """The name of a run, as the authors' release forms it."""
    task, network, recipe = TASKS[row.task], NETWORKS[row.network], RECIPES[row.recipe]
    uda = method
    if method == "sepico":
        edges = "_cpl" if task.ignored_edges else ""
        uda = (
            f"{task.uda}_{VARIANT_NAMES[row.variant]}-reg-w{recipe.regularizer_weight}"
            f"-start-iter{recipe.start_contrast_iter}-tau{recipe.temperature}"
            f"-l{network.levels}-w{recipe.contrast_weight}"
            f"_rcs{recipe.rcs_temperature}{edges}_self"
        )
    length = recipe.max_iters
    iterations = f"{length // 1000}k" if length % 1000 == 0 else str(length)
    schedule = f"adamw_{recipe.lr}_pmT_poly10warm_1x{recipe.batch_size}_{iterations}"
    return f"{network.decoder}_{network.encoder}_{uda}_{schedule}_{row.task}_seed{seed}"
