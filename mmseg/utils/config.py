"""Reading configs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .errors import InputError


def load_config(path: str | os.PathLike, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a ``.py`` or ``.json`` config and its ``_base_`` files.

    Args:
        path: of the config.
        overrides: dotted key -> value, as ``--cfg-options`` gives them.

    Raises:
        InputError: no such file, one that is no config, or an override that does not apply.
    """
    if not Path(path).is_file():
        raise InputError(f"no config at {path}")
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is a program: it can fail in any way
        raise InputError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    if Path(path).suffix == ".json":
        cfg = Config(_with_tuples(cfg.to_dict()), filename=str(path))
    try:
        cfg.merge_from_dict(dict(overrides or {}))
    except (KeyError, TypeError, AssertionError) as error:
        raise InputError(f"--cfg-options do not fit {path}: {error}") from error
    return cfg


def _with_tuples(node: Any) -> Any:
    """JSON knows no tuples: lists of numbers, such as sizes, become what configs write."""
    if isinstance(node, dict):
        return {key: _with_tuples(value) for key, value in node.items()}
    if isinstance(node, list):
        numbers = bool(node) and all(isinstance(value, int | float) for value in node)
        return tuple(node) if numbers else [_with_tuples(value) for value in node]
    return node
