"""Configs of mmseg 0.x, as they lie beside the published checkpoints, in the names of today."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from mmseg.utils.errors import InputError

from .data import data_settings
from .method import uda_model
from .network import segmentor
from .section import Section
from .training import training_settings

__all__ = ["IGNORED", "is_legacy", "translate"]

_VARIABLE = "a variable of the file, which is read where it is used"
#: Settings, by regular expressions of their dotted paths, that mean nothing here, and why.
IGNORED = {
    r"(norm_cfg|img_norm_cfg|crop_size)(\..+)?": _VARIABLE,
    r"dataset_type|data_root|\w+_pipeline\..+": _VARIABLE,
    r"name_\w+": "a part of the name, which is read as a whole",
    r"log_config\.hooks(\..+)?": "LoggerHook writes to the console and to TensorBoard",
    r"checkpoint_config\..+": "ours are kept in such a way that a run survives a crash",
    r"resume_from|work_dir": "said on the command line: --resume, --work-dir",
    r"workflow": "mmengine has loops instead",
    r"find_unused_parameters|use_ddp_wrapper|n_gpus|gpu_ids": "training is on one device",
    r"git_rev": "of the code that trained",
    r"model\.train_cfg(\..+)?": "where the code that trained left its logs",
    r"model\.auxiliary_head\.dropout_ratio": "the release builds this dropout and never calls it",
    r"data\.train\.target\.ann_dir": "the labels of the target must not be read in training",
    r"data\.(train\.target|val|test)\.test_mode": "follows from what the data set is used for",
    r"data\..+\.(keys|meta_keys)": "PackSegInputs packs what there is",
}
# Testing reads these parts only.
_TESTED = ("model.", "data.val.", "data.test.")


def is_legacy(cfg: Mapping[str, Any]) -> bool:
    """Whether this is a config in the schema of mmseg 0.x: ``data`` instead of loaders."""
    data = cfg.get("data")
    return (
        isinstance(data, Mapping)
        and not data.keys().isdisjoint({"train", "val", "test"})
        and not any(key.endswith("_dataloader") for key in cfg)
    )


def translate(old: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A config of mmseg 0.x, as SePiCo's release resolves it, in the schema of mmseg 1.x.

    Returns:
        The whole config, for training and testing; and the dotted paths of the settings of
        training that nothing is known about, which have no part in it.

    Raises:
        InputError: a setting is missing, or has a value that there is no counterpart for, or
            nothing is known about a setting that testing depends on.
    """
    section = Section(copy.deepcopy(dict(old)))
    network = segmentor(section.section("model"))
    projection = section.section("model").section("auxiliary_head")
    loaders, preprocessor = data_settings(section)
    dataset = loaders["train_dataloader"]["dataset"]
    settings = training_settings(section, dataset["source"]["type"])
    model = uda_model(section.section("uda"), projection, network)
    unknown = [
        path
        for path in section.left()
        if not any(re.fullmatch(pattern, path) for pattern in IGNORED)
    ]
    if tested := [path for path in unknown if path.startswith(_TESTED)]:
        raise InputError(
            f"nothing is known about {', '.join(tested)}: leave it out if it changes nothing, or "
            "write a config in the schema of today"
        )
    translated = settings | loaders | {"model": model | {"data_preprocessor": preprocessor}}
    return translated, unknown
