"""Reading configs."""

import argparse
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from .errors import InputError


class KeyValues(DictAction):
    """The values ``K=V`` of an option as a dict; what is none is a usage error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        """Parse ``values``."""
        for value in values:
            key, equals, _ = value.partition("=")
            if not (equals and all(key.split("."))):
                raise argparse.ArgumentError(self, f"expected KEY=VALUE, got {value!r}")
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, ValueError) as error:  # brackets that do not match
            raise argparse.ArgumentError(self, str(error)) from error


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
    override(cfg, overrides or {})
    return cfg


def override(cfg: Config, overrides: Mapping[str, Any]) -> None:
    """Set dotted keys of ``cfg`` in place, as ``--cfg-options`` gives them.

    Raises:
        InputError: the config has no place for one of them.
    """
    try:
        cfg.merge_from_dict(dict(overrides))
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        reason = textwrap.shorten(str(error.args[0] if error.args else error), 200)
        raise InputError(f"--cfg-options do not fit the config: {reason}") from error


def _with_tuples(node: Any) -> Any:
    """JSON knows no tuples: lists of numbers, such as sizes, become what configs write."""
    if isinstance(node, dict):
        return {key: _with_tuples(value) for key, value in node.items()}
    if isinstance(node, list):
        numbers = bool(node) and all(isinstance(value, int | float) for value in node)
        return tuple(node) if numbers else [_with_tuples(value) for value in node]
    return node
