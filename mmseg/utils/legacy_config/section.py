"""Reading a config of mmseg 0.x in such a way that no setting is lost."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mmseg.utils.errors import InputError

_REQUIRED = object()
T = TypeVar("T")


class Section:
    """One dict of an old config, which what is translated is taken out of.

    What is left in the end has no translation, and can be named.

    Args:
        node: the dict; it is emptied.
        path: where it stands in the file, dotted.
        not_for_training: gets the reasons why the config can be tested but not trained.
    """

    def __init__(
        self, node: dict[str, Any], path: str = "", not_for_training: list[str] | None = None
    ) -> None:
        self.node = node
        self.path = path
        self.not_for_training = [] if not_for_training is None else not_for_training

    def where(self, key: str) -> str:
        """The dotted path of a setting, for errors."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str, kind: type | tuple = object, default: Any = _REQUIRED) -> Any:
        """Take a setting out.

        Args:
            kind: of its value.
            default: the value where the file does not set it.

        Raises:
            InputError: it is missing, or of another kind.
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
        """Take out those of ``keys`` that the file sets."""
        return {key: self.node.pop(key) for key in keys if key in self.node}

    def drop_default(self, key: str, *defaults: Any) -> dict[str, Any]:
        """Take a setting out that says nothing if its value is one of ``defaults``."""
        found = self.take_all(key)
        return {} if found.get(key) in defaults else found

    def only(self, key: str, *choices: Any, required: bool = True) -> None:
        """Take out a setting that there is no other choice for here.

        Args:
            choices: that mean the same.
            required: whether the file has to set it; if not, the first choice was the default.

        Raises:
            InputError: the file makes another one.
        """
        value = self.take(key) if required else self.take(key, default=choices[0])
        if value not in choices:
            known = " or ".join(repr(choice) for choice in choices)
            raise InputError(f"{self.where(key)} is {value!r}, but there is only {known} here")

    def only_trained(self, key: str, *choices: Any) -> None:
        """Take out a setting that only training reads, of which there is one choice here.

        Another one is a reason not to train. If the file makes none, the first choice was the
        default.
        """
        try:
            self.only(key, *choices, required=False)
        except InputError as error:
            self.not_for_training.append(str(error))

    def trained(self, key: str, translate: Callable[["Section"], T]) -> T | None:
        """Translate a section that only training reads.

        What cannot be translated is a reason not to train.

        Returns:
            What ``translate`` makes of the section; None if it cannot.
        """
        try:
            return translate(self.section(key))
        except InputError as error:
            self.not_for_training.append(str(error))
            self.node.pop(key, None)
            return None

    def section(self, key: str) -> "Section":
        """The dict under ``key``, which stays in its place.

        Raises:
            InputError: there is none.
        """
        node = self.node.get(key)
        if not isinstance(node, dict):
            found = "is no dict" if key in self.node else "is missing"
            raise InputError(f"{self.where(key)} {found}")
        return Section(node, self.where(key), self.not_for_training)

    def sections(self, key: str) -> list["Section"]:
        """The list of dicts under ``key``, which stay in their place.

        Raises:
            InputError: there is none.
        """
        nodes = self.node.get(key)
        if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
            raise InputError(f"{self.where(key)} must be a list of dicts")
        return [
            Section(node, f"{self.where(key)}.{i}", self.not_for_training)
            for i, node in enumerate(nodes)
        ]

    def left(self) -> Iterator[str]:
        """The dotted paths of all settings that have not been taken."""
        yield from _leaves(self.node, self.path)


def _leaves(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _leaves(child, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list) and any(isinstance(child, dict) for child in node):
        for i, child in enumerate(node):
            yield from _leaves(child, f"{path}.{i}")
    else:
        yield path
