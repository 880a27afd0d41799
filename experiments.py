"""The experiments of the paper as rows of one table, and their configs.

``python run_experiments.py --exp N`` trains row N. A row names a task, a network, a method and its
variant: files in ``configs/_base_``, which hold all values, and differences from them.
:func:`generate_experiment_cfgs` turns a row into configs that inherit from these files. To add an
experiment, add a row.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmseg.utils import InputError
from tools.rows.foundation import FOUNDATION_MODELS, foundation_networks
from tools.rows.parts import Experiment, Method, Network, Settings, Task, from_base

BASES = Path(__file__).parent / "configs" / "_base_"
_CLASS_WEIGHTS = {
    "segmentor": {
        "decode_head": {"loss_decode": {"class_weight": from_base("train_class_weight")}},
        "test_cfg": {"class_weight": from_base("test_class_weight")},
    }
}
_BEST_OF_16 = {"default_hooks": {"checkpoint": {"save_best": "mIoU16"}}}
# As in the releases of DAFormer, HRDA and MIC.
_EVERY_4000 = {"train_cfg": {"val_interval": 4000}, "randomness": {"seed": 0}}
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
    "gta2cs_512x512": Task(
        "uda_gta_to_cityscapes_512x512", "GTA", "Cityscapes", "val", settings=_EVERY_4000
    ),
    "syn2cs_512x512": Task(
        "uda_synthia_to_cityscapes_512x512",
        "SYNTHIA",
        "Cityscapes",
        "val, 16 classes",
        settings=_EVERY_4000 | _BEST_OF_16,
    ),
    "cs2acdc_512x512": Task(
        "uda_cityscapes_to_acdc_512x512", "Cityscapes", "ACDC", "test", settings=_EVERY_4000
    ),
    "cs2dzur_512x512": Task(
        "uda_cityscapes_to_dark_zurich_512x512",
        "Cityscapes",
        "Dark Zurich",
        "test",
        settings=_EVERY_4000,
    ),
    "gtaHR2csHR_1024x1024": Task(
        "uda_gtaHR_to_cityscapesHR_1024x1024", "GTA", "Cityscapes", "val", settings=_EVERY_4000
    ),
    "synHR2csHR_1024x1024": Task(
        "uda_synthiaHR_to_cityscapesHR_1024x1024",
        "SYNTHIA",
        "Cityscapes",
        "val, 16 classes",
        settings=_EVERY_4000 | _BEST_OF_16,
    ),
    "csHR2acdcHR_1024x1024": Task(
        "uda_cityscapesHR_to_acdcHR_1024x1024", "Cityscapes", "ACDC", "test", settings=_EVERY_4000
    ),
    "csHR2dzurHR_1024x1024": Task(
        "uda_cityscapesHR_to_dark_zurichHR_1024x1024",
        "Cityscapes",
        "Dark Zurich",
        "test",
        settings=_EVERY_4000,
    ),
    # Full resolution in crops for a GPU of 24 GB.
    "gtaHR2csHR_640x640": Task(
        "uda_gtaHR_to_cityscapesHR_640x640", "GTA", "Cityscapes", "val", settings=_EVERY_4000
    ),
    "synHR2csHR_640x640": Task(
        "uda_synthiaHR_to_cityscapesHR_640x640",
        "SYNTHIA",
        "Cityscapes",
        "val, 16 classes",
        settings=_EVERY_4000 | _BEST_OF_16,
    ),
    "csHR2acdcHR_640x640": Task(
        "uda_cityscapesHR_to_acdcHR_640x640", "Cityscapes", "ACDC", "test", settings=_EVERY_4000
    ),
    "csHR2dzurHR_640x640": Task(
        "uda_cityscapesHR_to_dark_zurichHR_640x640",
        "Cityscapes",
        "Dark Zurich",
        "test",
        settings=_EVERY_4000,
    ),
    # With day images and class weights.
    "csHR2dzHR_640x640": Task(
        "uda_cityscapesHR_to_dark_zurichHR_pairs_640x640",
        "Cityscapes",
        "Dark Zurich",
        "test",
        settings=_EVERY_4000 | _CLASS_WEIGHTS,
    ),
    "csHR2dzHR_1024x1024": Task(
        "uda_cityscapesHR_to_dark_zurichHR_pairs_1024x1024",
        "Cityscapes",
        "Dark Zurich",
        "test",
        settings=_EVERY_4000 | _CLASS_WEIGHTS,
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
    "toy2motorway": Task(
        "uda_toy_gta_to_motorway_128x128",
        "toy GTA",
        "motorway photos",
        "val, 6 classes",
        video="data/motorway/drive.mp4",
        **_DEMO,
    ),
}
_MIT = {
    "optim_wrapper": {
        "paramwise_cfg": {
            "custom_keys": {"norm": {"decay_mult": 0.0}, "pos_block": {"decay_mult": 0.0}}
        }
    }
}
NETWORKS = {
    "toy": Network("daformer_sepaspp_proj_r18v1c_toy", "daformer_sepaspp_proj", "r18v1c"),
    "toy_vit": Network(
        "daformer_sepaspp_proj_vit_toy",
        "daformer_sepaspp_proj",
        "vit",
        {"optim_wrapper": {"optimizer": {"lr": 1e-3}}},
    ),
    "dlv2": Network("dlv2_proj_r101v1c", "dlv2_proj", "r101v1c"),
    "daformer": Network("daformer_sepaspp_proj_mitb5", "daformer_sepaspp_proj", "mitb5", _MIT),
    # Without a projection.
    "dlv2red": Network("dlv2red_r101v1c", "dlv2red", "r101v1c"),
    "sepaspp": Network("daformer_sepaspp_mitb5", "daformer_sepaspp", "mitb5", _MIT),
    "hrda": Network("hrda_daformer_sepaspp_mitb5", "hrda1-512-0.1_daformer_sepaspp", "mitb5", _MIT),
    "hrda_dlv2red": Network("hrda_dlv2red_r101v1c", "hrda1-512-0.1_dlv2red", "r101v1c"),
    "hrda_proj": Network(
        "hrda_daformer_sepaspp_proj_mitb5", "hrda1-512-0.1_daformer_sepaspp_proj", "mitb5", _MIT
    ),
}
NETWORKS |= foundation_networks()

VARIANT_NAMES = {"dist": "DistCL", "bank": "BankCL", "proto": "ProtoCL"}


def _ignored_borders(cfg: Config) -> str:
    """Name how pseudo-labels at the borders are ignored: in crops, in images, or not at all."""
    from mmseg.registry import DATASETS  # late: --help is fast

    target = cfg.train_dataloader.dataset.target
    if any(step.type == "IgnoreMargins" for step in target.pipeline):
        return "_cpl2"
    edges = target.get("ignored_edges", DATASETS.get(target.type).IGNORED_EDGES)
    return "_cpl" if any(edges) else ""


def _masking(cfg: Config) -> str:
    """Name the settings of masked image consistency, if the method has that term."""
    mic = cfg.model.get("terms", {}).get("mic")
    if mic is None:
        return ""
    mode = mic.mask_mode.replace("separate", "sp").replace("trg", "t").replace("src", "s")
    mode = {"sp": "sep"}.get(mode, mode.replace("aug", "a"))
    return f"_m{mic.block_size}-{mic.mask_ratio}-{mode}"


def _sepico_run_name(row: "Experiment", cfg: Config, method: str | None = None) -> str:
    """Name a run as SePiCo's release does."""
    network, length = NETWORKS[row.network], cfg.train_cfg.max_iters
    iterations = f"{length // 1000}k" if length % 1000 == 0 else str(length)
    lr, batch_size = cfg.optim_wrapper.optimizer.lr, cfg.train_dataloader.batch_size
    schedule = f"adamw_{lr}_pmT_poly10warm_1x{batch_size}_{iterations}"
    return (
        f"{network.decoder}_{network.encoder}_{method or _sepico_name(cfg)}_{schedule}_{row.task}"
        f"_seed{cfg.randomness.seed}"
    )


def _sepico_name(cfg: Config) -> str:
    kind = {"SePiCo": "sepico", "SePiCoDark": "sepico_dark"}[cfg.model.type]
    contrast = cfg.model.contrast
    levels = cfg.model.segmentor.auxiliary_head.in_index
    return (
        f"{kind}_{VARIANT_NAMES[contrast.variant]}-reg-w{contrast.regularizer_weight}"
        f"-start-iter{cfg.model.start_contrast_iter}-tau{contrast.temperature}"
        f"-l{levels if isinstance(levels, int) else list(levels)}-w{contrast.loss_weight}"
        f"_rcs{cfg.train_dataloader.dataset.rare_class_sampling.class_temp}{_ignored_borders(cfg)}"
        f"{'_self' if cfg.model.enable_self_training else ''}{_masking(cfg)}"
    )


def _dacs_run_name(row: "Experiment", cfg: Config) -> str:
    """Name a run as the releases of DAFormer, HRDA and MIC do."""
    model, network = cfg.model, NETWORKS[row.network]
    method = "dacs" if model.alpha == 0.99 else f"dacs_a{str(model.alpha)[2:]}"
    distance = model.get("terms", {}).get("feature_distance")
    if distance is not None:
        method += "_fdthings" if distance.classes else "_fd"
    if sampling := cfg.train_dataloader.dataset.rare_class_sampling:
        method += f"_rcs{sampling.class_temp}"
        method += "" if sampling.min_crop_ratio == 0.5 else f"-{sampling.min_crop_ratio}"
    method += _ignored_borders(cfg) + _masking(cfg)
    by_windows = "_sl" if model.segmentor.test_cfg.mode == "slide" else ""
    name = (
        f"{row.task.removesuffix('_512x512')}_{method}_{network.decoder}{by_windows}"
        f"_{network.encoder}_poly10warm_s{cfg.randomness.seed}"
    )
    return name.replace(".", "")


# Learn faster, for a small network on small images without ImageNet weights, on a CPU.
_DEMO_TEACHER = {"alpha": 0.99, "pseudo_threshold": 0.9}
# A sixteenth of the demo's crops.
_DEMO_MIC = {"terms": {"mic": {"block_size": 8}}}
_SEPICO = {
    "variants": {
        "dist": {},
        "bank": {"model": {"contrast": {"variant": "bank"}, "prototypes": {"memory_length": 200}}},
        "proto": {"model": {"contrast": {"variant": "proto"}}},
    },
    "demo": {
        "model": {
            **_DEMO_TEACHER,
            "start_contrast_iter": 20,
            "crop_size": [128, 128],
            "prototypes": {"feature_dim": 64},
        }
    },
}
_SEPICO_MIC = _SEPICO | {"demo": {"model": _SEPICO["demo"]["model"] | _DEMO_MIC}}
_DARK_WEIGHTS = {"model": {"class_weight": from_base("train_class_weight")}}
# Source and target are drawn uniformly, and pseudo-labels count everywhere.
_DACS = {
    "settings": {
        "train_dataloader": {
            "dataset": {"rare_class_sampling": None, "target": {"ignored_edges": (0.0, 0.0)}}
        }
    }
}
_CROPPED_TARGET = {"train_dataloader": {"dataset": {"target": from_base("cropped_target")}}}
_SLOW_TEACHER = {"model": {"alpha": 0.999}}
_DACS_DEMO = {"model": _DEMO_TEACHER} | _CROPPED_TARGET
_DACS_MIC_DEMO = {"model": _DEMO_TEACHER | _DEMO_MIC} | _CROPPED_TARGET
METHODS = {
    "source_only": Method(
        "source only",
        "source_only",
        lambda row, cfg: _sepico_run_name(row, cfg, "source_only"),
        {"train_dataloader": {"dataset": {"target": None}}},
    ),
    "sepico": Method("SePiCo", "sepico", _sepico_run_name, **_SEPICO),
    "sepico+mic": Method("SePiCo + MIC", "sepico_mic", _sepico_run_name, **_SEPICO_MIC),
    "sepico_dark": Method("SePiCo", "sepico_dark", _sepico_run_name, _DARK_WEIGHTS, **_SEPICO),
    "sepico_dark+mic": Method(
        "SePiCo + MIC", "sepico_dark_mic", _sepico_run_name, _DARK_WEIGHTS, **_SEPICO_MIC
    ),
    "dacs": Method("DACS", "dacs", _dacs_run_name, **_DACS, demo=_DACS_DEMO),
    "dacs+mic": Method("MIC(DACS)", "dacs_mic", _dacs_run_name, **_DACS, demo=_DACS_MIC_DEMO),
    "daformer": Method("DAFormer", "daformer", _dacs_run_name, demo=_DACS_DEMO),
    "mic": Method("MIC(DAFormer)", "daformer_mic", _dacs_run_name, demo=_DACS_MIC_DEMO),
    # For backbones whose features are not those of ImageNet.
    "daformer_nofd": Method(
        "DAFormer without feature distance", "dacs", _dacs_run_name, _SLOW_TEACHER, demo=_DACS_DEMO
    ),
    "mic_nofd": Method(
        "MIC(DAFormer) without feature distance",
        "dacs_mic",
        _dacs_run_name,
        _SLOW_TEACHER,
        demo=_DACS_MIC_DEMO,
    ),
}
# For crops of 512 pixels, and for night and bad weather.
_BLOCKS_OF_32 = {"model": {"terms": {"mic": {"block_size": 32}}}}
_SEPARATE = {"model": {"terms": {"mic": {"mask_mode": "separate"}}}}
# SePiCo's crops have 640 pixels, a sixteenth of which is 40.
_BLOCKS_OF_40 = {"model": {"terms": {"mic": {"block_size": 40}}}}
_BLOCKS_OF_40_SEPARATE = {"model": {"terms": {"mic": {"block_size": 40, "mask_mode": "separate"}}}}
_BY_WINDOWS = {
    "segmentor": {"test_cfg": {"mode": "slide", "crop_size": (1024, 1024), "stride": (512, 512)}}
}
# The data crops the target at random.
_WHOLE_CROPS = {"model": {"pseudo_crop": False}}
# 80x80 patches of 14 pixels; 5e-5 times the root of the batch size, a tenth of it in the backbone.
_VFM_UDA = {
    "segmentor": {"backbone": {"image_scale": 1.09375}},
    "model": {"mirror_teacher": True},
    "train_dataloader": {"dataset": {"rare_class_sampling": {"class_temp": 0.05}}},
    "optim_wrapper": {
        "optimizer": {"lr": 7.07e-6},
        "paramwise_cfg": {"layer_decay": None},
    },
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
    19: Experiment("gta2cs_512x512", "dlv2red", "dacs", release="DAFormer 1"),
    20: Experiment("syn2cs_512x512", "dlv2red", "dacs"),
    21: Experiment("gta2cs_512x512", "dlv2red", "daformer", release="DAFormer 5"),
    22: Experiment("gta2cs_512x512", "sepaspp", "daformer", None, 68.3, "DAFormer 6"),
    23: Experiment("syn2cs_512x512", "sepaspp", "daformer", None, 60.9, "DAFormer 7"),
    24: Experiment("cs2acdc_512x512", "sepaspp", "daformer", None, 55.4, "DAFormer 8"),
    25: Experiment("cs2dzur_512x512", "sepaspp", "daformer", None, 53.8, "DAFormer 8"),
    26: Experiment("gtaHR2csHR_1024x1024", "hrda", "daformer", None, 73.8, "HRDA 40"),
    27: Experiment("synHR2csHR_1024x1024", "hrda", "daformer", None, 65.8, "HRDA 40"),
    28: Experiment("gtaHR2csHR_1024x1024", "hrda_dlv2red", "daformer", release="HRDA 41"),
    29: Experiment("csHR2acdcHR_1024x1024", "hrda", "daformer", None, 68.0, "HRDA 49"),
    30: Experiment("csHR2dzurHR_1024x1024", "hrda", "daformer", None, 55.9, "HRDA 49"),
    31: Experiment("gtaHR2csHR_1024x1024", "hrda", "mic", None, 75.9, "MIC 80"),
    32: Experiment("synHR2csHR_1024x1024", "hrda", "mic", release="MIC 80"),
    33: Experiment("csHR2acdcHR_1024x1024", "hrda", "mic", None, 70.4, "MIC 80", _SEPARATE),
    34: Experiment("csHR2dzurHR_1024x1024", "hrda", "mic", None, None, "MIC 80", _SEPARATE),
    35: Experiment("gta2cs_512x512", "sepaspp", "mic", None, None, "MIC 81", _BLOCKS_OF_32),
    36: Experiment("gta2cs_512x512", "dlv2red", "dacs+mic", None, None, "MIC 81", _BLOCKS_OF_32),
    37: Experiment("gta2cs_512x512", "dlv2red", "mic", None, None, "MIC 81", _BLOCKS_OF_32),
    38: Experiment(
        "gtaHR2csHR_1024x1024", "hrda_dlv2red", "mic", None, None, "MIC 81", _BY_WINDOWS
    ),
    # No release has these.
    39: Experiment("syn2cs_512x512", "sepaspp", "mic", settings=_BLOCKS_OF_32),
    40: Experiment("gta2cs", "daformer", "sepico+mic", "dist", settings=_BLOCKS_OF_40),
    41: Experiment("gtaHR2csHR_1024x1024", "hrda_proj", "sepico", "dist", settings=_WHOLE_CROPS),
    42: Experiment(
        "gtaHR2csHR_1024x1024", "hrda_proj", "sepico+mic", "dist", settings=_WHOLE_CROPS
    ),
    43: Experiment("cs2dz", "daformer", "sepico_dark+mic", "dist", settings=_BLOCKS_OF_40_SEPARATE),
    # As near to VFM-UDA as our parts are (docs/foundation-models.md lists the differences).
    "vfm-uda": Experiment(
        "gtaHR2csHR_1024x1024", "dinov2-l", "mic_nofd", published_miou=78.4, settings=_VFM_UDA
    ),
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
    "photo-demo": Experiment(
        "toy2motorway", "toy", "sepico", "dist", stages=("source_only", "source_only", "sepico")
    ),
    "vit-demo": Experiment(
        "toy2city", "toy_vit", "sepico", "dist", stages=("source_only", "source_only", "sepico")
    ),
}

# Rows with names such as sepico-dinov2-l-gta2cs: a method, a backbone and a task at full
# resolution, in crops of 640 pixels or, with "-1024" at the end, of 1024.
_NAMED_TASKS = {
    "gta2cs": "gtaHR2csHR",
    "syn2cs": "synHR2csHR",
    "cs2acdc": "csHR2acdcHR",
    "cs2dz": "csHR2dzurHR",
}
NAMED = {
    f"{method}-{backbone}-{task}{suffix}": (method, backbone, task, crop)
    for method in ("sepico", "daformer", "mic")
    for backbone in FOUNDATION_MODELS
    for task in _NAMED_TASKS
    for suffix, crop in {"": 640, "-1024": 1024}.items()
}


def find_row(exp: int | str) -> Experiment:
    """Find the row of an experiment.

    Raises:
        InputError: if there is none.
    """
    if exp in EXPERIMENTS:
        return EXPERIMENTS[exp]
    if exp in NAMED:
        return _named_row(*NAMED[str(exp)])
    known = ", ".join(map(str, EXPERIMENTS))
    close = get_close_matches(str(exp), NAMED, 3)
    near = f" (such as {', '.join(close)})" if close else ""
    raise InputError(
        f"there is no experiment {exp}{near}: choose from {known}, or METHOD-BACKBONE-TASK; "
        "--help describes them"
    )


def _named_row(method: str, backbone: str, task: str, crop: int) -> Experiment:
    windows = {"mode": "slide", "crop_size": (crop, crop), "stride": (crop // 2, crop // 2)}
    settings: Settings = {"segmentor": {"test_cfg": windows}}
    data = f"{_NAMED_TASKS[task]}_{crop}x{crop}"
    if method == "sepico":
        settings |= _WHOLE_CROPS
        if task == "cs2dz":
            method, data = "sepico_dark", f"csHR2dzHR_{crop}x{crop}"
        return Experiment(data, f"{backbone}_proj", method, "dist", settings=settings)
    if method == "mic":
        mode = "separate" if task in ("cs2acdc", "cs2dz") else "separatetrgaug"
        settings["model"] = {"terms": {"mic": {"block_size": crop // 16, "mask_mode": mode}}}
    return Experiment(data, backbone, f"{method}_nofd", settings=settings)


def experiment(name: str) -> int | str:
    """Parse the key of an experiment: a number or a name."""
    return int(name) if name.lstrip("-").isdigit() else name


def describe(exp: int | str) -> str:
    """Describe an experiment in one line."""
    row = find_row(exp)
    task, network = TASKS[row.task], NETWORKS[row.network]
    method = short_title(exp, _title(row, row.method))
    published = ""
    if row.published_miou:
        published = f", published {row.published_miou} mIoU ({task.split})"
    elif not row.release and not row.stages:
        published = ", published: none"
    if row.release:
        release, number = row.release.split()
        published += f" [{number} of {release}'s release]"
    return (
        f"{exp}: {task.source} -> {task.target}, {network.decoder} on {network.encoder}, "
        f"{method}{published}"
    )


def short_title(exp: int | str, title: str) -> str:
    """Name the variant in the title of an experiment's method: DistCL, BankCL + MIC."""
    variant = find_row(exp).variant
    return title.replace("SePiCo", VARIANT_NAMES[variant]) if variant else title


def _title(row: Experiment, method: str) -> str:
    """Return the title of a method; DAFormer's training of a network of two scales is HRDA."""
    title = METHODS[method].title
    return title.replace("DAFormer", "HRDA") if row.network.startswith("hrda") else title


def generate_experiment_cfgs(
    exp: int | str, seed: int | None = None, methods: Sequence[str] | None = None
) -> list[dict]:
    """Make the configs of an experiment, in the order of their training.

    Args:
        exp: key of ``EXPERIMENTS`` or of ``NAMED``.
        seed: replaces the seed of the config.
        methods: keys of ``METHODS`` to compare in a demo; None: those of its row.

    Returns:
        Dicts for :func:`config_text`: a ``_base_``, the differences from it, and two more keys:
        ``title`` for messages and, if the run starts from the last weights of another one,
        ``start_from``, the index of that one.

    Raises:
        InputError: if there is no such experiment, or it does not compare these methods.
    """
    row = find_row(exp)
    stages = row.stages or (row.method,)
    if methods is not None:
        _check_methods(exp, methods)
        stages = (row.stages[0], *methods)
    configs = []
    for stage, method in enumerate(stages):
        schedule = TASKS[row.task].schedule
        if row.stages and stage == 0:
            schedule += "_pretraining"
        config = _build(exp, row, method, schedule, seed)
        config["title"] = _title(row, method)
        if row.stages:
            config["experiment_name"] += "_continued" if stage else "_pretraining"
            config |= {"start_from": 0} if stage else {"title": "pretraining"}
        configs.append(config)
    return configs


def _check_methods(exp: int | str, methods: Sequence[str]) -> None:
    """Check that an experiment can compare methods.

    SePiCo by day does not use the day images of a night demo, and SePiCo by night needs them.
    """
    row = find_row(exp)
    if not row.stages:
        demos = ", ".join(str(exp) for exp, row in EXPERIMENTS.items() if row.stages)
        raise InputError(f"only demos compare methods, not experiment {exp}: choose from {demos}")
    fitting = [
        name
        for name in METHODS
        if not name.startswith("sepico") or name.partition("+")[0] == row.method
    ]
    for place, name in enumerate(methods):
        if name not in fitting:
            raise InputError(
                f"experiment {exp} has no method {name!r} to compare: choose from "
                f"{', '.join(fitting)}"
            )
        if name in methods[:place]:
            raise InputError(f"the method {name!r} is given twice")


def _build(
    exp: int | str, row: Experiment, method_name: str, schedule: str, seed: int | None
) -> dict:
    """Make the config of one run."""
    task, network, method = TASKS[row.task], NETWORKS[row.network], METHODS[method_name]
    bases = (
        BASES / task.runtime,
        BASES / "models" / network.model,
        BASES / "datasets" / task.dataset,
        BASES / "uda" / method.config,
        BASES / "schedules" / schedule,
    )
    config = ConfigDict({"_base_": [f"{base}.py" for base in bases], "exp": exp})
    differences = [task.settings, network.settings, method.settings]
    differences.append(method.variants.get(row.variant, {}))
    if task.runtime == "demo_runtime":
        differences.append(method.demo)
    differences.append(row.settings)
    if seed is not None:
        differences.append({"randomness": {"seed": seed}})
    for settings in differences:
        config.merge(ConfigDict(settings))
    config = config.to_dict()
    config["experiment_name"] = method.run_name(row, load(config))
    return config


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
