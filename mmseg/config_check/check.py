"""Find wrong settings before anything is built from them: names and values by signatures."""

import difflib
import inspect
import math
import types
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import astuple
from functools import cache
from inspect import Parameter
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Optional,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import annotated_types as limits
import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

from mmseg.registry import REGISTRIES
from mmseg.utils import InputError

from .foreign import FOREIGN, UNTYPED, Common, TopLevel

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
        "phase_times",
        "validation_panels",
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
_PYDANTIC = ConfigDict(arbitrary_types_allowed=True, strict=True)
_WORDS = {
    int: "an integer",
    float: "a number",
    bool: "True or False",
    str: "a string",
    dict: "a dict",
    type(None): "None",
}
_SIGNS = {limits.Gt: ">", limits.Ge: ">=", limits.Lt: "<", limits.Le: "<="}
_UNIONS = (Union, types.UnionType)
_MOST_CHARACTERS = 100


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
    known = top_level_settings()
    for key in cfg:
        if not key.endswith("_pipeline"):
            _check_name(key, known, "the config has no setting", likeness=0.85)
    walk = _Walk(is_fragment)
    for key in cfg:
        if key in (known if parts is None else parts):
            walk.check_setting(cfg[key], known[key], key)


def top_level_settings() -> dict[str, Any]:
    """Return the names of all settings at the top of a config, and their types."""
    known = {**_settings_of(Runner).kinds, **_settings_of(TopLevel).kinds}
    del known["cfg"]
    return known


def check_override(key: str) -> None:
    """Check that a dotted key of ``--cfg-options`` belongs to a setting.

    Configs may have variables at the top too, but only reading a file uses them.

    Raises:
        InputError: if no setting has the first name of the key.
    """
    name = key.partition(".")[0]
    known = {*top_level_settings(), "segmentor"}  # ``override`` tells where this one is now
    if name not in known:
        meant = difflib.get_close_matches(name, known, 1, cutoff=0.8)
        hint = (
            f"did you mean {meant[0]!r}?"
            if meant
            else "`run_experiments.py --config CONFIG --dry-run --flat` prints all settings"
        )
        raise InputError(
            f"--cfg-options {key} has no effect, as there is no setting {name!r}: {hint}"
        )


class _Walk:
    """Check a config from its top-level settings down."""

    def __init__(self, is_fragment: bool) -> None:
        self.is_fragment = is_fragment

    def check_setting(self, value: Any, annotation: Any, path: str) -> None:
        """Check the value of a parameter and all values below it."""
        members = get_args(annotation) if get_origin(annotation) in _UNIONS else (annotation,)
        schema = next(filter(is_typeddict, members), None)
        if schema is not None and isinstance(value, dict):
            self.check_entries(value, (schema,), path, f"{path} has no setting")
            return
        self.check_node(value, path)
        kinds = [get_origin(member) or member for member in members]
        takes_object = any(inspect.isclass(k) and k.__module__ != "builtins" for k in kinds)
        is_built = isinstance(value, dict) and "type" in value and takes_object
        if annotation is not Parameter.empty and not is_built:
            check_value(value, annotation, path)

    def check_node(self, node: Any, path: str) -> None:
        """Check a value without annotation, and all values below it."""
        if isinstance(node, float) and not math.isfinite(node):
            raise InputError(f"{path} is {node}, but it takes a finite number")
        if isinstance(node, list | tuple):
            for i, child in enumerate(node):
                self.check_node(child, f"{path}[{i}]")
        if not isinstance(node, dict):
            return
        name = path.rsplit(".", 1)[-1]
        targets = UNTYPED.get(path) or UNTYPED.get(f"*.{name}", ())
        complaint = f"{path} has no setting"
        if "type" in node:
            targets = (_registered(node["type"], f"{path}.type"),)
            complaint = f"{path}: {node['type']} has no argument"
        if targets and name not in _LOOSE_CONFIGS:
            self.check_entries(node, targets, path, complaint)
            if inspect.isclass(targets[0]) and "type" in node and not self.is_fragment:
                _check_complete(node, targets[0], path)
            return
        for key, child in node.items():
            _check_name(key, _EXTENSIBLE.get(name, ()), f"{path} has no setting", likeness=0.8)
            self.check_node(child, f"{path}.{key}")

    def check_entries(
        self, node: dict, targets: tuple[Any, ...], path: str, complaint: str
    ) -> None:
        """Check the entries of a dict against the parameters of all targets together."""
        settings = [_settings_of(target) for target in targets]
        common = _settings_of(Common).kinds
        kinds = {name: kind for each in settings for name, kind in each.kinds.items()}
        takes_any = any(each.takes_any for each in settings)
        for key in node:
            if key not in common:
                _check_name(key, kinds, complaint, 0.9 if takes_any else 0.6, takes_any)
        kinds |= common
        if "constructor" in node:
            constructor = _registered(node["constructor"], f"{path}.constructor")
            kinds |= _settings_of(constructor).kinds
        for key, value in node.items():
            self.check_setting(value, kinds.get(key, Parameter.empty), f"{path}.{key}")


def _check_name(
    name: Any, known: Collection[str], complaint: str, likeness: float, takes_any: bool = True
) -> None:
    """Refuse an unknown name, or, where any is allowed, what looks like a misspelt known one."""
    if name in known:
        return
    meant = difflib.get_close_matches(str(name), known, 1, cutoff=likeness)
    if meant or not takes_any:
        hint = f"did you mean {meant[0]!r}?" if meant else f"it takes {sorted(known)}"
        raise InputError(f"{complaint} {name!r}: {hint}")


def _registered(name: Any, path: str) -> Any:
    """Return the class or function registered as ``name``, which may start with a scope."""
    if not isinstance(name, str):
        if callable(name):
            return name
        raise InputError(f"{path} is {name!r}, but it takes the name of a class")
    for registry in REGISTRIES:
        found = registry.get(name)
        if found is not None:
            return found
    names = {known for registry in REGISTRIES for known in registry.module_dict}
    meant = difflib.get_close_matches(name, names, 1)
    hint = f": did you mean {meant[0]!r}?" if meant else ", and no registered name is similar"
    raise InputError(f"{path} is {name!r}, which is not registered{hint}")


def _check_complete(node: dict, target: type, path: str) -> None:
    """Check that arguments which only the config can give are complete, in known packages."""
    if target.__module__.partition(".")[0] not in _KNOWN_PACKAGES:
        return
    for p in inspect.signature(target).parameters.values():
        if _is_named(p) and p.default is p.empty and p.name not in {*node, *_GIVEN}:
            raise InputError(f"{path}: {node['type']} needs {p.name!r}: set {path}.{p.name}")


class _Settings(NamedTuple):
    """Name -> annotation (``Parameter.empty`` if there is none); whether others are allowed."""

    kinds: dict[str, Any]
    takes_any: bool


@cache
def _settings_of(target: Callable) -> _Settings:
    """Return the settings of a class, a function or a ``TypedDict``.

    A class with ``**kwargs`` has those of its bases too.
    """
    if is_typeddict(target):
        return _Settings(get_type_hints(target, include_extras=True), False)
    mro = inspect.getmro(target) if inspect.isclass(target) else (target,)
    functions = [each.__dict__.get("__init__") if inspect.isclass(each) else each for each in mro]
    kinds: dict[str, Any] = {}
    optional = set()
    takes_any = True
    for function in filter(None, functions):
        parameters = inspect.signature(function).parameters.values()
        for p in filter(_is_named, parameters):
            kinds.setdefault(p.name, _annotation(function, p))
            optional |= {p.name} if p.default is None else set()
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            takes_any = False
            break
    for owner, ranges in FOREIGN.items():
        if owner in mro:
            kinds |= {name: kind for name, kind in ranges.items() if name in kinds}
    # Other packages often omit None from the annotation of a parameter whose default it is.
    for name in optional:
        if kinds[name] is not Parameter.empty:
            kinds[name] = Optional[kinds[name]]  # noqa: UP045
    return _Settings(kinds, takes_any)


def _is_named(p: Parameter) -> bool:
    return p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"


def _annotation(function: Callable, parameter: Parameter) -> Any:
    """Return the annotation of a parameter; empty if only type checkers can resolve it."""
    if parameter.annotation is not Parameter.empty:
        single = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
        with suppress(NameError, AttributeError):
            return get_type_hints(single, function.__globals__, include_extras=True)["it"]
    return Parameter.empty


def check_value(value: Any, annotation: Any, path: str) -> None:
    """Check the type and the range of one setting.

    Lists of numbers are accepted as tuples, NumPy's numbers as Python's.

    Args:
        value: value of the setting.
        annotation: annotation of its parameter.
        path: dotted path of the setting.

    Raises:
        InputError: if the value is of another type or out of range.
    """
    if is_typeddict(annotation):
        annotation = dict
    try:
        TypeAdapter(annotation, config=_PYDANTIC).validate_python(_plain(value))
    except ValidationError as error:
        shown = repr(value)
        if len(shown) > _MOST_CHARACTERS:
            shown = f"{shown[: _MOST_CHARACTERS - 3]}..."
        raise InputError(f"{path} is {shown}, but it takes {describe(annotation)}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple) and not any(isinstance(each, dict) for each in value):
        values = [_plain(each) for each in value]
        numbers = all(isinstance(each, int | float | tuple) for each in values)
        return tuple(values) if numbers and values else value
    return value


def describe(annotation: Any) -> str:
    """Describe an annotation in words, as "an integer > 0" for ``PositiveInt``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _with_limits(describe(args[0]), annotation.__metadata__)
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin in _UNIONS:
        return " or ".join(dict.fromkeys(map(describe, args)))
    kind = origin or annotation
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        return "a dict"
    if kind is tuple and args and args[-1] is not Ellipsis:
        return f"({', '.join(map(describe, args))})"
    if inspect.isclass(kind) and issubclass(kind, Collection) and args:
        return f"a list of {describe(args[0])}"
    return _WORDS.get(kind) or f"a {getattr(kind, '__name__', kind)}"


def _with_limits(words: str, metadata: Collection[Any]) -> str:
    signs = []
    for item in metadata:
        if isinstance(item, FieldInfo) and item.description:
            return item.description
        for limit in item.metadata if isinstance(item, FieldInfo) else [item]:
            if type(limit) in _SIGNS:
                signs.append(f"{_SIGNS[type(limit)]} {astuple(limit)[0]:g}")
            elif isinstance(limit, limits.MultipleOf):
                signs.append(f"a multiple of {limit.multiple_of:g}")
            elif isinstance(limit, limits.MinLen):
                signs.append(f"({limit.min_length} or more)")
    return f"{words} {' and '.join(signs)}".rstrip()
