"""Misspelt settings, found before anything is built from them."""

import difflib
import inspect
from collections.abc import Iterator
from typing import Any

from mmengine import registry as mmengine_registries
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

import mmseg.registry as mmseg_registries

from .errors import InputError

# Top-level settings that mmseg reads beside those of the Runner.
_OWN_KEYS = {"exp", "tta_model", "tta_pipeline"}
# What the registry and the Runner take out of a config before its class sees it.
_NOT_FOR_THE_CLASS = {"type", "_scope_", "_delete_", "priority", "constructor", "paramwise_cfg"}
# Configs of layers: mmcv takes keys out of these that no layer has.
_LAYER_CONFIGS = {"norm_cfg", "act_cfg", "conv_cfg"}


def check_config(cfg: Config) -> None:
    """Check every ``type`` and every key beside it against what is registered.

    Top-level names may be anything (configs hold their own variables there), unless they look like
    a misspelt setting.

    Raises:
        InputError: the first misspelt type or key, where it stands and what may have been meant.
    """
    known = set(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"} | _OWN_KEYS
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
    for key in cfg:
        if key in known:
            _check_node(cfg[key], key, registries)


def _check_node(node: Any, path: str, registries: list[Registry]) -> None:
    if isinstance(node, list | tuple):
        for i, child in enumerate(node):
            _check_node(child, f"{path}[{i}]", registries)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("type"), str):
        target = _lookup(node["type"], path, registries)
        if path.rsplit(".", 1)[-1] not in _LAYER_CONFIGS:
            _check_keys(node, target, path)
    for key, child in node.items():
        _check_node(child, f"{path}.{key}", registries)


def _lookup(name: str, path: str, registries: list[Registry]) -> Any:
    for registry in registries:
        registry.import_from_location()
        found = registry.module_dict.get(name)
        if found is not None:
            return found
    names = {known for registry in registries for known in registry.module_dict}
    meant = difflib.get_close_matches(name, names, 1)
    hint = f": did you mean {meant[0]!r}?" if meant else ", and nothing is called like it"
    raise InputError(f"{path}.type is {name!r}, which is not registered{hint}")


def _check_keys(node: dict, target: Any, path: str) -> None:
    accepted = set(_accepted_keys(target))
    if None in accepted:
        return
    for key in node:
        if key not in accepted | _NOT_FOR_THE_CLASS:
            meant = difflib.get_close_matches(key, accepted, 1)
            hint = f"did you mean {meant[0]!r}?" if meant else f"it takes {sorted(accepted)}"
            raise InputError(f"{path}: {node['type']} has no argument {key!r}: {hint}")


def _accepted_keys(target: Any) -> Iterator[str | None]:
    """Keyword names of a class or function; None among them if it takes any."""
    # A class that passes **kwargs on accepts what its bases do.
    for owner in inspect.getmro(target) if inspect.isclass(target) else (target,):
        function = owner.__dict__.get("__init__") if inspect.isclass(owner) else owner
        if function is None:
            continue
        parameters = inspect.signature(function).parameters.values()
        yield from (
            p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        )
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            return
    yield None
