"""Read, change and write configs."""

import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.fileio import dump

from .config_file import is_data, read_config
from .data_config import check_data
from .errors import InputError
from .legacy_config import is_legacy, translate

#: Parts of a method that a config may have at its top.
_MOVED = ("segmentor", "data_preprocessor")


def load_config(path: str | os.PathLike, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a config and its ``_base_`` files.

    A ``.py`` config is a program, which is run. A ``.json`` or ``.yaml`` config is data: it runs
    nothing and can only name registered classes, also by ``overrides``.

    ``segmentor`` and ``data_preprocessor`` of a method may be at the top level, so that each can
    come from a separate file in ``configs/_base_``; they become parts of ``model``.

    A config in the schema of mmseg 0.x, as of the published checkpoints, is translated; if it can
    be tested but not trained, ``not_for_training`` lists the reasons.

    Args:
        path: path of the config.
        overrides: dotted key -> value, as of ``--cfg-options``.

    Raises:
        InputError: if the file does not exist, is not a config or cannot be translated, if a data
            config does more than hold data, if there are two segmentors, or an override does not
            apply.
    """
    cfg = read_config(path)
    if is_legacy(cfg):
        try:
            translated, reasons = translate(cfg.to_dict())
        except InputError as error:
            raise InputError(f"{path}, a config of mmseg 0.x: {error}") from error
        cfg = Config(translated, filename=str(path))
        if reasons:
            cfg.not_for_training = reasons
    model = cfg.get("model")
    for part in _MOVED:
        if part in cfg and isinstance(model, dict) and part not in model:
            model[part] = cfg.pop(part)
    segmentor = cfg.get("segmentor")
    if segmentor and isinstance(model, dict) and segmentor != model["segmentor"]:
        raise InputError(
            f"{path} has a segmentor next to another model.segmentor, and only one can count: "
            "set all of it in model.segmentor"
        )
    _use_tuples(cfg)
    override(cfg, overrides or {})
    return cfg


def override(cfg: Config, overrides: Mapping[str, Any]) -> None:
    """Set dotted keys of ``cfg`` in place, as of ``--cfg-options``.

    Raises:
        InputError: if a key does not apply or has no effect, or a data config then does more than
            hold data.
    """
    model = cfg.get("model")
    for key in overrides:
        part = key.partition(".")[0]
        if part in _MOVED and isinstance(model, dict) and part in model:
            raise InputError(f"--cfg-options {key} has no effect: set model.{key}")
    try:
        cfg.merge_from_dict(dict(overrides))
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        reason = textwrap.shorten(str(error.args[0] if error.args else error), 200)
        raise InputError(f"--cfg-options do not fit the config: {reason}") from error
    if is_data(cfg.filename):
        check_data(cfg.to_dict(), cfg.filename)


def store_config(cfg: Config, path: str | os.PathLike) -> None:
    """Write a config such that :func:`load_config` reads the same settings."""
    if Path(path).suffix in (".yaml", ".yml"):  # mmengine writes tuples as tags of Python
        settings = json.loads(dump(cfg.to_dict(), file_format="json"))
        Path(path).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    else:
        cfg.dump(path)


# mmcv's RandomFlip needs a list of probabilities; classes and colours stay lists too.
_KEPT_LISTS = ("prob", "metainfo")


def _use_tuples(node: Any) -> Any:
    """Turn lists of numbers, such as sizes, into tuples, which transforms need.

    JSON has no tuples, and ``[512, 512]`` is a natural way to write a size.

    Args:
        node: a config, changed in place, or a part of it.
    """
    if isinstance(node, Config | dict):
        for key, value in node.items():
            if isinstance(value, dict | list | tuple) and key not in _KEPT_LISTS:
                node[key] = _use_tuples(value)
        return node
    if isinstance(node, list | tuple):
        numbers = bool(node) and all(isinstance(value, int | float) for value in node)
        return tuple(node) if numbers else type(node)(_use_tuples(value) for value in node)
    return node
