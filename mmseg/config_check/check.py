"""Find wrong settings before anything is built from them."""

import difflib
import inspect
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from mmengine import registry as mmengine_registries
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

import mmseg.registry as mmseg_registries
from mmseg.utils import InputError

from .foreign import UNTYPED, Common, TopLevel
from .values import check_value, required, schema_of, settings_of, takes_object

# Configs of layers and their initialisation, of which other code removes keys before building.
_LOOSE_CONFIGS = {"norm_cfg", "act_cfg", "conv_cfg", "upsample_cfg", "override"}
# Dicts that may have other keys, unless these look like a misspelling of a known one.
_EXTENSIBLE = {
    "default_hooks": {
        "runtime_info",
        "timer",
        "sampler_seed",
        "logger",
        "param_scheduler",
        "checkpoint",
    },
    "data_prefix": {"img_path", "seg_map_path"},
    "metainfo": {"classes", "palette"},
}
# Arguments that the Runner or another part passes, not the config.
_GIVEN = {
    "dataset",
    "dataloader",
    "evaluator",
    "model",
    "module",
    "optimizer",
    "optim_wrapper_cfg",
    "params",
    "runner",
    "save_dir",
}
_KNOWN_PACKAGES = {"mmseg", "mmengine", "mmcv", "torch"}
_COMMON = settings_of(Common)[0]


@dataclass(frozen=True)
class _Context:
    registries: list[Registry]
    is_fragment: bool


def check_config(
    cfg: Config, parts: Collection[str] | None = None, is_fragment: bool = False
) -> None:
    """Check every ``type``, the keys next to it and their values against registered classes.

    The signatures give the types and ranges of values. Top-level names may be anything, since
    configs have variables there, unless they look like a misspelt setting.

    Args:
        cfg: the config.
        parts: top-level settings to check; default: all.
        is_fragment: whether this is a base of configs, in which settings may be missing.

    Raises:
        InputError: for the first wrong type, key or value, with its path and what is expected.
    """
    known = {**settings_of(Runner)[0], **settings_of(TopLevel)[0]}
    del known["cfg"]
    for key in cfg:
        if key not in known and not key.endswith("_pipeline"):
            meant = difflib.get_close_matches(key, known, 1, cutoff=0.85)
            if meant:
                raise InputError(f"the config has no setting {key!r}: did you mean {meant[0]!r}?")
    registries = [
        registry
        for module in (mmseg_registries, mmengine_registries)
        for registry in vars(module).values()
        if isinstance(registry, Registry)
    ]
    context = _Context(registries, is_fragment)
    for key in cfg:
        if key in (known if parts is None else parts):
            _check_setting(cfg[key], known[key], key, context)


def _check_setting(value: Any, annotation: Any, path: str, context: _Context) -> None:
    """Check the value of a parameter and all values below it."""
    schema = schema_of(annotation)
    if schema is not None and isinstance(value, dict):
        _check_entries(value, (schema,), path, f"{path} has no setting", context)
        return
    _check_node(value, path, context)
    is_built = isinstance(value, dict) and "type" in value and takes_object(annotation)
    if annotation is not inspect.Parameter.empty and not is_built:
        check_value(value, annotation, path)


def _check_node(node: Any, path: str, context: _Context) -> None:
    if isinstance(node, float) and not math.isfinite(node):
        raise InputError(f"{path} is {node}, but it takes a finite number")
    if isinstance(node, list | tuple):
        for i, child in enumerate(node):
            _check_node(child, f"{path}[{i}]", context)
    if not isinstance(node, dict):
        return
    name = path.rsplit(".", 1)[-1]
    targets = UNTYPED.get(path) or UNTYPED.get(f"*.{name}", ())
    complaint = f"{path} has no setting"
    if "type" in node:
        targets = (_lookup(node["type"], f"{path}.type", context),)
        complaint = f"{path}: {node['type']} has no argument"
    if targets and name not in _LOOSE_CONFIGS:
        _check_entries(node, targets, path, complaint, context)
        if inspect.isclass(targets[0]) and "type" in node and not context.is_fragment:
            _check_complete(node, targets[0], path)
        return
    for key, child in node.items():
        _check_likeness(key, name, path)
        _check_node(child, f"{path}.{key}", context)


def _lookup(name: Any, path: str, context: _Context) -> Any:
    """Return the class or function registered as ``name``, which may start with a scope."""
    if not isinstance(name, str):
        if callable(name):
            return name
        raise InputError(f"{path} is {name!r}, but it takes the name of a class")
    for registry in context.registries:
        found = registry.get(name)
        if found is not None:
            return found
    names = {known for registry in context.registries for known in registry.module_dict}
    meant = difflib.get_close_matches(name, names, 1)
    hint = f": did you mean {meant[0]!r}?" if meant else ", and no registered name is similar"
    raise InputError(f"{path} is {name!r}, which is not registered{hint}")


def _check_likeness(key: str, name: str, path: str) -> None:
    """Check that a key of a dict with free keys does not look like a misspelt known one."""
    meant = difflib.get_close_matches(str(key), _EXTENSIBLE.get(name, ()), 1, cutoff=0.8)
    if meant and key not in _EXTENSIBLE[name]:
        raise InputError(f"{path} has no setting {key!r}: did you mean {meant[0]!r}?")


def _check_entries(
    node: dict,
    targets: tuple[Any, ...],
    path: str,
    complaint: str,
    context: _Context,
) -> None:
    """Check the entries of a dict against the parameters of all targets together."""
    accepted: dict[str, Any] = {}
    takes_any = False
    for target in targets:
        settings, any_name = settings_of(target)
        accepted |= settings
        takes_any |= any_name
    for key in node:
        if key not in accepted and key not in _COMMON:
            _refuse_unknown(key, accepted, takes_any, complaint)
    kinds = {**accepted, **_COMMON}
    if "constructor" in node:
        constructor = _lookup(node["constructor"], f"{path}.constructor", context)
        kinds |= settings_of(constructor)[0]
    for key, value in node.items():
        _check_setting(value, kinds.get(key, inspect.Parameter.empty), f"{path}.{key}", context)


def _refuse_unknown(key: str, names: Collection[str], takes_any: bool, complaint: str) -> None:
    meant = difflib.get_close_matches(str(key), names, 1, cutoff=0.9 if takes_any else 0.6)
    if meant or not takes_any:
        hint = f"did you mean {meant[0]!r}?" if meant else f"it takes {sorted(names)}"
        raise InputError(f"{complaint} {key!r}: {hint}")


def _check_complete(node: dict, target: Callable, path: str) -> None:
    """Check that arguments which only the config can give are complete, in known packages."""
    package = getattr(target, "__module__", "").partition(".")[0]
    for name in required(target) if package in _KNOWN_PACKAGES else ():
        if name not in node and name not in _GIVEN:
            raise InputError(f"{path}: {node['type']} needs {name!r}: set {path}.{name}")
