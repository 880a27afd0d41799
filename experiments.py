"""The experiments of the paper as rows of one table, and their configs.

``python run_experiments.py --exp N`` trains row N. A row names a task, a network, a method and its
variant: files in ``configs/_base_``, which hold all values, and differences from them.
:func:`generate_experiment_cfgs` turns a row into configs that inherit from these files. To add an
experiment, add a row.
"""

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from mmseg.utils import InputError

BASES = Path(__file__).parent / "configs" / "_base_"
# Differences from the values of base files: nested dicts as in a config.
Settings = dict[str, Any]


def from_base(name: str) -> str:
    """Refer to a value of the bases, in a form that :func:`config_text` writes for mmengine."""
    return "{{_base_." + name + "}}"


@dataclass(frozen=True)
class Task:
    """A pair of domains.

    Attributes:
        dataset: file in ``configs/_base_/datasets``.
        source: name of the source in messages.
        target: name of the target in messages.
        split: name of the split of published results.
        schedule: file in ``configs/_base_/schedules``.
        runtime: file in ``configs/_base_``.
        settings: other differences.
    """

    dataset: str
    source: str
    target: str
    split: str
    schedule: str = "adamw"
    runtime: str = "default_runtime"
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A segmentor.

    Attributes:
        model: file in ``configs/_base_/models``.
        decoder: name of the decoder in names of runs.
        encoder: name of the backbone in names of runs.
        settings: other differences.
    """

    model: str
    decoder: str
    encoder: str
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A training method.

    Attributes:
        title: name in messages.
        config: file in ``configs/_base_/uda``.
        name: function from the whole config to the method's part of the name of a run.
        settings: differences from that file and others.
        variants: name of a variant -> further differences.
        demo: differences in a demo.
    """

    title: str
    config: str
    name: Callable[[Config], str]
    settings: Settings = field(default_factory=dict)
    variants: dict[str, Settings] = field(default_factory=dict)
    demo: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One row.

    Attributes:
        task: key of ``TASKS``.
        network: key of ``NETWORKS``.
        method: key of ``METHODS``.
        variant: name of a variant of the method.
        published_miou: published result in percent.
        stages: methods of its runs, if there are several: the first run is a pretraining, and the
            others start from its last weights.
    """

    task: str
    network: str
    method: str
    variant: str | None = None
    published_miou: float | None = None
    stages: tuple[str, ...] = ()


_CLASS_WEIGHTS = {
    "segmentor": {
        "decode_head": {"loss_decode": {"class_weight": from_base("train_class_weight")}},
        "test_cfg": {"class_weight": from_base("test_class_weight")},
    }
}
_BEST_OF_16 = {"default_hooks": {"checkpoint": {"save_best": "mIoU16"}}}
_DEMO = {"schedule": "adamw_demo", "runtime": "demo_runtime"}
TASKS = {
    "gta2cs": Task("uda_gta_to_cityscapes_640x640", "GTA", "Cityscapes", "val"),
    "syn2cs": Task(
        "uda_synthia_to_cityscapes_640x640",
        "SYNTHIA",
        "Cityscapes",
        "val, 16 classes",
        settings=_BEST_OF_16,
    ),
    "cs2dz": Task(
        "uda_cityscapes_to_dark_zurich_640x640",
        "Cityscapes",
        "Dark Zurich",
        "test",
        schedule="adamw_60k",
        settings=_CLASS_WEIGHTS | {"randomness": {"seed": 42}},
    ),
    "toy2city": Task(
        "uda_toy_gta_to_toy_cityscapes_128x128", "toy GTA", "toy Cityscapes", "val", **_DEMO
    ),
    "toysyn2city": Task(
        "uda_toy_synthia_to_toy_cityscapes_128x128",
        "toy SYNTHIA",
        "toy Cityscapes",
        "val, 16 classes",
        settings=_BEST_OF_16,
        **_DEMO,
    ),
    "toycity2dark": Task(
        "uda_toy_cityscapes_to_toy_dark_zurich_128x128",
        "toy Cityscapes",
        "toy Dark Zurich",
        "val",
        settings=_CLASS_WEIGHTS,
        **_DEMO,
    ),
}
_MIT_KEYS = {"norm": {"decay_mult": 0.0}, "pos_block": {"decay_mult": 0.0}}
NETWORKS = {
    "toy": Network("daformer_sepaspp_proj_r18v1c_toy", "daformer_sepaspp_proj", "r18v1c"),
    "dlv2": Network("dlv2_proj_r101v1c", "dlv2_proj", "r101v1c"),
    "daformer": Network(
        "daformer_sepaspp_proj_mitb5",
        "daformer_sepaspp_proj",
        "mitb5",
        {"optim_wrapper": {"paramwise_cfg": {"custom_keys": _MIT_KEYS}}},
    ),
}

VARIANT_NAMES = {"dist": "DistCL", "bank": "BankCL", "proto": "ProtoCL"}


def _sepico_name(kind: str) -> Callable[[Config], str]:
    """Return a function that names runs of SePiCo as the authors' release does."""

    def name(cfg: Config) -> str:
        from mmseg.registry import DATASETS  # late, to keep --help fast

        contrast, data = cfg.model.contrast, cfg.train_dataloader.dataset
        target = DATASETS.get(data.target.type)
        levels = cfg.model.segmentor.auxiliary_head.in_index
        masks_edges = any(data.target.get("ignored_edges", target.IGNORED_EDGES))
        return (
            f"{kind}_{VARIANT_NAMES[contrast.variant]}-reg-w{contrast.regularizer_weight}"
            f"-start-iter{cfg.model.start_contrast_iter}-tau{contrast.temperature}"
            f"-l{levels if isinstance(levels, int) else list(levels)}-w{contrast.loss_weight}"
            f"_rcs{data.rare_class_sampling.class_temp}{'_cpl' if masks_edges else ''}"
            f"{'_self' if cfg.model.enable_self_training else ''}"
        )

    return name


_SEPICO = {
    "variants": {
        "dist": {},
        "bank": {"model": {"contrast": {"variant": "bank"}, "prototypes": {"memory_length": 200}}},
        "proto": {"model": {"contrast": {"variant": "proto"}}},
    },
    # Learn faster, for a small network on small images without ImageNet weights, on a CPU.
    "demo": {
        "model": {
            "alpha": 0.99,
            "pseudo_threshold": 0.9,
            "start_contrast_iter": 20,
            "crop_size": [128, 128],
            "prototypes": {"feature_dim": 64},
        }
    },
}
METHODS = {
    "source_only": Method(
        "source only",
        "source_only",
        lambda cfg: "source_only",
        {"train_dataloader": {"dataset": {"target": None}}},
    ),
    "sepico": Method("SePiCo", "sepico", _sepico_name("sepico"), **_SEPICO),
    "sepico_dark": Method(
        "SePiCo",
        "sepico_dark",
        _sepico_name("sepico_dark"),
        {"model": {"class_weight": from_base("train_class_weight")}},
        **_SEPICO,
    ),
}
EXPERIMENTS: dict[int | str, Experiment] = {
    0: Experiment(
        "toy2city", "toy", "sepico", "dist", stages=("source_only", "source_only", "sepico")
    ),
    1: Experiment("gta2cs", "dlv2", "sepico", "dist", 61.0),
    2: Experiment("gta2cs", "dlv2", "sepico", "bank", 59.8),
    3: Experiment("gta2cs", "dlv2", "sepico", "proto", 58.8),
    4: Experiment("gta2cs", "daformer", "sepico", "dist", 70.3),
    5: Experiment("gta2cs", "daformer", "sepico", "bank", 68.7),
    6: Experiment("gta2cs", "daformer", "sepico", "proto", 68.5),
    7: Experiment("cs2dz", "dlv2", "sepico_dark", "dist", 45.4),
    8: Experiment("cs2dz", "daformer", "sepico_dark", "dist", 54.2),
    9: Experiment("syn2cs", "dlv2", "sepico", "dist", 58.1),
    10: Experiment("syn2cs", "dlv2", "sepico", "bank", 57.4),
    11: Experiment("syn2cs", "dlv2", "sepico", "proto", 56.8),
    12: Experiment("syn2cs", "daformer", "sepico", "dist", 64.3),
    13: Experiment("syn2cs", "daformer", "sepico", "bank", 63.3),
    14: Experiment("syn2cs", "daformer", "sepico", "proto", 62.9),
    15: Experiment("cs2dz", "dlv2", "sepico_dark", "bank", 44.1),
    16: Experiment("cs2dz", "dlv2", "sepico_dark", "proto", 42.6),
    17: Experiment("cs2dz", "daformer", "sepico_dark", "bank", 53.3),
    18: Experiment("cs2dz", "daformer", "sepico_dark", "proto", 52.7),
    "synthia-demo": Experiment(
        "toysyn2city", "toy", "sepico", "dist", stages=("source_only", "source_only", "sepico")
    ),
    "night-demo": Experiment(
        "toycity2dark",
        "toy",
        "sepico_dark",
        "dist",
        stages=("source_only", "source_only", "sepico_dark"),
    ),
}


def experiment(name: str) -> int | str:
    """Parse the key of an experiment: a number, or the name of a demo."""
    return int(name) if name.lstrip("-").isdigit() else name


def describe(exp: int | str) -> str:
    """Describe an experiment in one line."""
    row = EXPERIMENTS[exp]
    task, network = TASKS[row.task], NETWORKS[row.network]
    published = (
        f", published {row.published_miou} mIoU ({task.split})" if row.published_miou else ""
    )
    return (
        f"{exp}: {task.source} -> {task.target}, {network.decoder} on {network.encoder}, "
        f"{VARIANT_NAMES.get(row.variant, METHODS[row.method].title)}{published}"
    )


def generate_experiment_cfgs(exp: int | str, seed: int | None = None) -> list[dict]:
    """Make the configs of an experiment, in the order of their training.

    Args:
        exp: key of ``EXPERIMENTS``.
        seed: replaces the seed of the config.

    Returns:
        Dicts for :func:`config_text`: a ``_base_``, the differences from it, and two more keys:
        ``title`` for messages and, if the run starts from the last weights of another one,
        ``start_from``, the index of that one.

    Raises:
        InputError: if there is no such experiment.
    """
    if exp not in EXPERIMENTS:
        known = ", ".join(map(str, EXPERIMENTS))
        raise InputError(
            f"there is no experiment {exp}: choose from {known}; --help describes them"
        )
    row = EXPERIMENTS[exp]
    configs = []
    for stage, method in enumerate(row.stages or (row.method,)):
        config = _build(exp, row, method, seed)
        config["title"] = METHODS[method].title
        if row.stages:
            config["experiment_name"] += "_continued" if stage else "_pretraining"
            config |= {"start_from": 0} if stage else {"title": "pretraining"}
        configs.append(config)
    return configs


def _build(exp: int | str, row: Experiment, method_name: str, seed: int | None) -> dict:
    """Make the config of one run."""
    task, network, method = TASKS[row.task], NETWORKS[row.network], METHODS[method_name]
    bases = (
        BASES / task.runtime,
        BASES / "models" / network.model,
        BASES / "datasets" / task.dataset,
        BASES / "uda" / method.config,
        BASES / "schedules" / task.schedule,
    )
    config = ConfigDict({"_base_": [f"{base}.py" for base in bases], "exp": exp})
    differences = [task.settings, network.settings, method.settings]
    differences.append(method.variants.get(row.variant, {}))
    if task.runtime == "demo_runtime":
        differences.append(method.demo)
    if seed is not None:
        differences.append({"randomness": {"seed": seed}})
    for settings in differences:
        config.merge(ConfigDict(settings))
    config = config.to_dict()
    config["experiment_name"] = _run_name(row, method, config)
    return config


def _run_name(row: Experiment, method: Method, config: dict) -> str:
    """Name a run as the authors' release does, from the whole config."""
    cfg = load(config)
    network, length = NETWORKS[row.network], cfg.train_cfg.max_iters
    iterations = f"{length // 1000}k" if length % 1000 == 0 else str(length)
    lr, batch_size = cfg.optim_wrapper.optimizer.lr, cfg.train_dataloader.batch_size
    schedule = f"adamw_{lr}_pmT_poly10warm_1x{batch_size}_{iterations}"
    return (
        f"{network.decoder}_{network.encoder}_{method.name(cfg)}_{schedule}_{row.task}"
        f"_seed{cfg.randomness.seed}"
    )


def load(config: dict) -> Config:
    """Load a config of :func:`generate_experiment_cfgs` with all values of its bases."""
    from mmseg.utils.config import load_config  # late, to keep --help fast

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.py"
        path.write_text(config_text(config, path.parent))
        return load_config(path)


def experiment_config(exp: int | str, stage: int = -1) -> Config:
    """Load the config of a run of an experiment, by default of the last."""
    return load(generate_experiment_cfgs(exp)[stage])


def config_text(config: dict, folder: Path) -> str:
    """Write a config of :func:`generate_experiment_cfgs` as the text of a Python config file.

    It starts with the command that runs it and the published result.

    Args:
        config: the config.
        folder: folder of the file, which the paths of its bases are relative to.
    """
    exp = config["exp"]
    config = {key: value for key, value in config.items() if key not in ("title", "start_from")}
    config["_base_"] = [os.path.relpath(base, folder) for base in config["_base_"]]
    lines = [f"# {describe(exp)}", f"# python run_experiments.py --exp {exp}"]
    text = Config(config).pretty_text
    return "\n".join(lines) + "\n" + re.sub(r"'(\{\{_base_\.\w+\}\})'", r"\1", text)
