"""Read a config of mmseg 0.x such that no setting is overlooked."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mmseg.utils.errors import InputError

_REQUIRED = object()
T = TypeVar("T")


class Section:
    """A dict of an old config, from which translated settings are removed.

    Settings that are left in the end have no translation, and can be reported.

    Args:
        node: the dict, which is emptied.
        path: its dotted path in the file.
        not_for_training: collects the reasons why the config can be tested but not trained.
    """

    def __init__(
        self, node: dict[str, Any], path: str = "", not_for_training: list[str] | None = None
    ) -> None:
        self.node = node
        self.path = path
        self.not_for_training = [] if not_for_training is None else not_for_training

    def where(self, key: str) -> str:
        """Return the dotted path of a setting, for errors."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str, kind: type | tuple = object, default: Any = _REQUIRED) -> Any:
        """Remove a setting and return its value.

        Args:
            key: name of the setting.
            kind: type of its value.
            default: the value if the file does not set it.

        Raises:
            InputError: if it is missing or of another type.
        """
        if key not in self.node:
            if default is _REQUIRED:
                raise InputError(f"{self.where(key)} is missing")
            return default
        value = self.node.pop(key)
        if not isinstance(value, kind):
            raise InputError(f"{self.where(key)} has an unexpected value: {value!r}")
        return value

    def take_all(self, *keys: str) -> dict[str, Any]:
        """Remove and return those of ``keys`` that the file sets."""
        return {key: self.node.pop(key) for key in keys if key in self.node}

    def drop_default(self, key: str, *defaults: Any) -> dict[str, Any]:
        """Remove a setting, and return it unless its value is one of ``defaults``."""
        found = self.take_all(key)
        return {} if found.get(key) in defaults else found

    def only(self, key: str, *choices: Any, required: bool = True) -> None:
        """Remove a setting whose value must be one of ``choices``.

        Args:
            key: name of the setting.
            choices: equivalent values.
            required: whether the file must set it; if not, the first choice was the default.

        Raises:
            InputError: if it has another value.
        """
        value = self.take(key, default=_REQUIRED if required else choices[0])
        if value not in choices:
            known = " or ".join(repr(choice) for choice in choices)
            raise InputError(f"{self.where(key)} is {value!r}, but there is only {known} here")

    def only_trained(self, key: str, *choices: Any, required: bool = False) -> None:
        """Remove a setting that only training uses, whose value should be one of ``choices``.

        The arguments are those of :meth:`only`, but another value is a reason not to train.
        """
        try:
            self.only(key, *choices, required=required)
        except InputError as error:
            self.not_for_training.append(str(error))

    def take_trained(self, key: str, kind: type | tuple, default: Any) -> Any:
        """Remove a setting that only training uses; without a valid value it is ``default``.

        That is a reason not to train.
        """
        try:
            return self.take(key, kind)
        except InputError as error:
            self.not_for_training.append(str(error))
            return default

    def trained(self, key: str, translate: Callable[["Section"], T]) -> T | None:
        """Translate a section that only training uses; an error is a reason not to train.

        Returns:
            The result of ``translate``; None if it fails.
        """
        try:
            return translate(self.section(key))
        except InputError as error:
            self.not_for_training.append(str(error))
            self.node.pop(key, None)
            return None

    def section(self, key: str) -> "Section":
        """Return the dict under ``key`` without removing it.

        Raises:
            InputError: if there is no dict.
        """
        node = self.node.get(key)
        if not isinstance(node, dict):
            found = "is not a dict" if key in self.node else "is missing"
            raise InputError(f"{self.where(key)} {found}")
        return Section(node, self.where(key), self.not_for_training)

    def sections(self, key: str) -> list["Section"]:
        """Return the list of dicts under ``key`` without removing them.

        Raises:
            InputError: if there is no list of dicts.
        """
        nodes = self.node.get(key)
        if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
            raise InputError(f"{self.where(key)} must be a list of dicts")
        return [
            Section(node, f"{self.where(key)}.{i}", self.not_for_training)
            for i, node in enumerate(nodes)
        ]


def leaves(node: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths of all settings in a part of a config."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from leaves(child, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and any(isinstance(child, dict) for child in node):
        for i, child in enumerate(node):
            yield from leaves(child, f"{path}.{i}")
    else:
        yield path
