"""Translate configs of mmseg 0.x, as of the published checkpoints, to the current schema."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmseg.utils.errors import InputError

from .data import loader_settings, test_loaders, train_loader
from .method import test_class_weight, uda_model
from .model import segmentor
from .pipelines import Preprocessing
from .section import Section, leaves
from .training import metrics_of, training_settings

__all__ = ["IGNORED", "check_trainable", "is_legacy", "translate"]

_VARIABLE = "a variable of the file, which is read where it is used"
#: Regular expressions of the dotted paths of settings without effect here -> the reason.
IGNORED = {
    r"(norm_cfg|img_norm_cfg|crop_size)(\..+)?": _VARIABLE,
    r"dataset_type|data_root|\w+_pipeline\..+": _VARIABLE,
    r"name_\w+": "a part of the name, which is read as a whole",
    r"log_config\.hooks(\..+)?": "LoggerHook writes to the console and to TensorBoard",
    r"log_config\.img_interval": "panels are written every uda.debug_img_interval iterations",
    r"checkpoint_config\..+": "ours are kept in such a way that a run survives a crash",
    r"resume_from|work_dir": "said on the command line: --resume, --work-dir",
    r"workflow": "mmengine has loops instead",
    r"find_unused_parameters|use_ddp_wrapper|n_gpus|gpu_ids": "training is on one device",
    r"gpu_model": "the kind of GPU that the experiment was for",
    r"git_rev": "of the code that trained",
    r"model\.train_cfg(\..+)?": "where the code that trained left its logs",
    r"model\.test_cfg\.batched_slide": "one by one or together, windows give the same result",
    r"model\.backbone\.ema_drop_path_rate": "the teacher drops nothing",
    r"model\.auxiliary_head\.dropout_ratio": "the release builds this dropout and never calls it",
    r"uda\.print_grad_magnitude": "only writes to the log",
    r"data\.train\.target\.ann_dir": "the labels of the target must not be read in training",
    r"data\.(train\.target|val|test)\.test_mode": "follows from what the data set is used for",
    r"data\..+\.(keys|meta_keys)": "PackSegInputs packs what there is",
}
# The settings that testing uses: not those of losses and of the projection.
_TESTED = re.compile(r"(model\.(?!auxiliary_head\.|.+\.loss_decode\.)|data\.(val|test)\.).+")


def is_legacy(cfg: Mapping[str, Any]) -> bool:
    """Tell whether a config has the schema of mmseg 0.x: ``data`` instead of loaders."""
    data = cfg.get("data")
    return (
        isinstance(data, Mapping)
        and not data.keys().isdisjoint({"train", "val", "test"})
        and not any(key.endswith("_dataloader") for key in cfg)
    )


def translate(old: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Translate a config of mmseg 0.x, as the releases resolve it, to the schema of 1.x.

    Returns:
        The config, and the reasons why it can be tested but not trained: a setting of training is
        missing, unknown, or has a value without counterpart. If the training cannot be translated
        at all, the config contains only a segmentor and no training.

    Raises:
        InputError: if this is true of a setting that testing depends on.
    """
    section = Section(copy.deepcopy(dict(old)))
    preprocessing = Preprocessing()
    network = segmentor(section.section("model"))
    data = section.section("data")
    shared = loader_settings(data)
    class_weight = test_class_weight(section)
    if class_weight is not None:
        network["test_cfg"]["class_weight"] = class_weight
    metrics = metrics_of(section)
    evaluator = {"type": "IoUMetric", "iou_metrics": metrics}
    translated = {
        "val_evaluator": evaluator,
        "test_evaluator": copy.deepcopy(evaluator),
        **test_loaders(data, shared, preprocessing),
    }
    if unknown := [path for path in _unknown(section) if _TESTED.fullmatch(path)]:
        raise InputError(
            f"nothing is known about {', '.join(unknown)}: leave it out if it changes nothing, or "
            "write a config in the schema of today"
        )
    reasons = section.not_for_training
    model = network
    try:
        model = uda_model(section, network)
        loader = train_loader(section, shared, preprocessing, model.get("crop_size"))
        settings = training_settings(section, metrics)
    except InputError as error:
        reasons.append(str(error))
    else:
        translated |= settings | {"train_dataloader": loader}
        if unknown := list(_unknown(section)):
            reasons.append(f"nothing is known about {', '.join(unknown)}")
    preprocessor = {"type": "SegDataPreProcessor", "non_blocking": True}
    translated["model"] = model | {"data_preprocessor": preprocessor | preprocessing.settings}
    return translated, reasons


def _unknown(section: Section) -> Iterator[str]:
    """Yield the settings that were neither translated nor are known to be without effect."""
    for path in leaves(section.node):
        if not any(re.fullmatch(pattern, path) for pattern in IGNORED):
            yield path


def check_trainable(cfg: Mapping[str, Any]) -> None:
    """Check that a translated config can be trained.

    Raises:
        InputError: if :func:`translate` has found reasons against it, ``cfg.not_for_training``.
    """
    if reasons := cfg.get("not_for_training"):
        raise InputError(
            f"this config of mmseg 0.x can be tested, but not trained: {'; '.join(reasons)}; leave "
            "out what changes nothing, or write a config in the schema of today"
        )
