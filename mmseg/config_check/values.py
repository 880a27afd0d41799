"""Types and ranges of settings, read from signatures."""

import inspect
import types
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import astuple
from functools import cache
from inspect import Parameter
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin, get_type_hints

import annotated_types as limits
import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

from mmseg.utils import InputError

from .foreign import FOREIGN

_PYDANTIC = ConfigDict(arbitrary_types_allowed=True, strict=True)
_NAMES = {
    int: "an integer",
    float: "a number",
    bool: "True or False",
    str: "a string",
    dict: "a dict",
    type(None): "None",
}
_SIGNS = {limits.Gt: ">", limits.Ge: ">=", limits.Lt: "<", limits.Le: "<="}
_MOST_CHARACTERS = 100


@cache
def settings_of(target: Callable) -> tuple[Mapping[str, Any], bool]:
    """Return the settings of a class, a function or a ``TypedDict``.

    A class with ``**kwargs`` has those of its bases too.

    Returns:
        Name -> annotation (``Parameter.empty`` if there is none), and whether any other name is
        allowed.
    """
    if is_typeddict(target):
        return get_type_hints(target, include_extras=True), False
    found: dict[str, Any] = {}
    optional = set()
    takes_any = True
    for owner in inspect.getmro(target) if inspect.isclass(target) else (target,):
        function = owner.__dict__.get("__init__") if inspect.isclass(owner) else owner
        if function is None:
            continue
        parameters = inspect.signature(function).parameters.values()
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self":
                found.setdefault(p.name, _annotation(function, p))
                optional |= {p.name} if p.default is None else set()
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            takes_any = False
            break
    for owner, ranges in FOREIGN.items():
        if target is owner or (inspect.isclass(target) and owner in inspect.getmro(target)):
            found |= {name: kind for name, kind in ranges.items() if name in found}
    # Other packages often omit None from the annotation of a parameter whose default it is.
    optional -= {name for name, annotation in found.items() if annotation is Parameter.empty}
    return found | {name: Optional[found[name]] for name in optional}, takes_any  # noqa: UP045


def _annotation(function: Callable, parameter: Parameter) -> Any:
    """Return the annotation of a parameter; empty if only type checkers can resolve it."""
    if parameter.annotation is not Parameter.empty:
        single = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
        with suppress(NameError, AttributeError):
            return get_type_hints(single, function.__globals__, include_extras=True)["it"]
    return Parameter.empty


def required(target: Callable) -> Collection[str]:
    """List the arguments without default of a class or function."""
    parameters = inspect.signature(target).parameters.values()
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def schema_of(annotation: Any) -> type | None:
    """Return the ``TypedDict`` in an annotation, if there is one."""
    return next((member for member in _members(annotation) if is_typeddict(member)), None)


def takes_object(annotation: Any) -> bool:
    """Tell whether an annotation contains a class, which a config describes by a dict."""
    kinds = [get_origin(member) or member for member in _members(annotation)]
    return any(inspect.isclass(kind) and kind.__module__ != "builtins" for kind in kinds)


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


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if _is_union(annotation) else (annotation,)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def describe(annotation: Any) -> str:
    """Describe an annotation in words, as "an integer > 0" for ``PositiveInt``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _with_limits(describe(args[0]), annotation.__metadata__)
    if origin is Literal:
        return " or ".join(map(repr, args))
    if _is_union(annotation):
        return " or ".join(dict.fromkeys(map(describe, args)))
    kind = origin or annotation
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        return "a dict"
    if kind is tuple and args and args[-1] is not Ellipsis:
        return f"({', '.join(map(describe, args))})"
    if inspect.isclass(kind) and issubclass(kind, Collection) and args:
        return f"a list of {describe(args[0])}"
    return _NAMES.get(kind) or f"a {getattr(kind, '__name__', kind)}"


def _with_limits(words: str, metadata: Collection[Any]) -> str:
    signs = []
    for item in metadata:
        if isinstance(item, FieldInfo) and item.description:
            return item.description
        for limit in item.metadata if isinstance(item, FieldInfo) else [item]:
            if type(limit) in _SIGNS:
                signs.append(f"{_SIGNS[type(limit)]} {astuple(limit)[0]:g}")
            elif isinstance(limit, limits.MinLen):
                signs.append(f"({limit.min_length} or more)")
    return f"{words} {' and '.join(signs)}".rstrip()
