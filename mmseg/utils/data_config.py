"""Check that a data config (``.json``, ``.yaml``), which may be untrusted, cannot run code.

Where mmengine expects the name of a registered class, it would import any dotted path and call the
object found there.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from .errors import InputError

_SCOPES = ("mmseg", "mmengine")
# Settings that name a class or a function for mmengine or mmcv to look up.
_NAMES = {
    "type",
    "auto_wrap_policy",
    "check_fn",
    "collate_fn",
    "constructor",
    "ema_type",
    "optimizer_type",
    "padding_mode",
    "param_init_fn",
    "resize_type",
    "runner_type",
    "worker_init_fn",
}
_UNREGISTERED_PADDING = {"circular", "constant", "edge", "symmetric", "zeros"}
_RUN_CODE = {
    "RFSearchHook": "evaluates strings of its settings",
    "DVCLiveVisBackend": "runs a command",
}
# Settings that name files to be written.
_WRITTEN = {"config_save_file", "filename_tmpl", "img_save_dir", "out_file_path"}
_WRITTEN |= {"save_dir", "scalar_save_file"}
_WAY_OUT = "only a .py config, which is a program, may do that"


def check_data(cfg: Mapping[str, Any], source: str | os.PathLike) -> None:
    """Check that a data config imports and runs nothing, and writes only to its run's folder.

    Args:
        cfg: settings of the config, its bases and the command line.
        source: name of the config for errors.

    Raises:
        InputError: if a setting does; it names the first one.
    """
    settings = list(_settings(cfg))
    known = _registered() if any(key in _NAMES for _, key, _ in settings) else set()
    problems = [problem for setting in settings if (problem := _problem(*setting, known))]
    if problems:
        raise InputError(f"{source}: {problems[0]}")


def _settings(node: Any, where: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield the path, the key and the value of each setting."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            path = f"{where}.{key}" if where else key
            yield path, key, value
            yield from _settings(value, path)
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            yield from _settings(value, f"{where}[{i}]")


def _problem(where: str, key: str, value: Any, known: set[str]) -> str | None:
    """Describe what is wrong with a setting, if anything."""
    if key == "custom_imports" and value:
        return f"{where} imports modules: {_WAY_OUT}"
    if not isinstance(value, str):
        return None
    found = f"{where} is {value!r}"
    if key in ("default_scope", "_scope_") and value not in _SCOPES:
        return f"{found}, another package than {' and '.join(_SCOPES)}: {_WAY_OUT}"
    if key in _NAMES and not (key == "padding_mode" and value in _UNREGISTERED_PADDING):
        scope, _, last = value.rpartition(".")
        name = last if scope in _SCOPES else value
        if name in _RUN_CODE:
            return f"{found}, which {_RUN_CODE[name]}: {_WAY_OUT}"
        if name not in known:
            meant = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {meant[0]!r}?" if meant else _WAY_OUT
            return f"{found}, which is not registered: {hint}"
    if key in _WRITTEN and (
        key == "save_dir" or PurePath(value).is_absolute() or ".." in PurePath(value).parts
    ):
        return f"{found}, not a name in the folder of the run: {_WAY_OUT}"
    return None


def _registered() -> set[str]:
    """Collect the names in all registries that a config can use."""
    import mmengine.runner  # noqa: F401  (registers the classes of mmengine)

    from mmseg.registry import REGISTRIES

    for registry in REGISTRIES:
        registry.import_from_location()
    return {name for registry in REGISTRIES for name in registry.module_dict}
