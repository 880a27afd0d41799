"""Find all classes and functions that a config can name in the registries."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mmengine.runner  # noqa: F401  (registers mmengine's classes)
from mmengine import registry as mmengine_registries
from mmengine.registry import Registry

import mmseg.registry as mmseg_registries


@dataclass(frozen=True)
class Registered:
    """A class or function that a config can name.

    Attributes:
        registry: the registry that holds it.
        name: the name by which it is registered.
        target: the class or function.
    """

    registry: Registry
    name: str
    target: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.registry.scope}-{self.registry.name}-{self.name}"

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Return the parameters by name, including those passed on to base classes."""
        found: dict[str, inspect.Parameter] = {}
        bases = inspect.getmro(self.target) if inspect.isclass(self.target) else [self.target]
        for owner in bases:
            function = owner.__dict__.get("__init__") if inspect.isclass(owner) else owner
            if function is None or owner is object:
                continue
            own = inspect.signature(function).parameters
            found = {name: own[name] for name in own if name != "self"} | found
            if not any(each.kind == each.VAR_KEYWORD for each in own.values()):
                break
        return {n: p for n, p in found.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


@functools.cache
def registered() -> list[Registered]:
    """List everything in the registries of mmseg and mmengine."""
    modules = (mmseg_registries, mmengine_registries)
    registries = [r for m in modules for r in vars(m).values() if isinstance(r, Registry)]
    for registry in registries:
        registry.import_from_location()
    return [
        Registered(registry, name, target)
        for registry in registries
        for name, target in registry.module_dict.items()
    ]


def names_of_types() -> set[str]:
    """Return the names of everything that is registered."""
    return {each.name for each in registered()}
