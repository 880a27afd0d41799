"""Read checkpoints that need trust, and write converted ones."""

import os
import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from mmseg.utils import atomic_path


class Missing(dict):
    """Placeholder for an object of a missing class; its content is dropped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Drop the state."""

    def append(self, item: Any) -> None:
        """Drop the item of a list."""

    def extend(self, items: Iterable[Any]) -> None:
        """Drop the items of a list."""


class Unpickling:
    """A ``pickle_module`` for ``torch.load`` that replaces missing classes by ``Missing``."""

    load = staticmethod(pickle.load)

    class Unpickler(pickle.Unpickler):
        """Unpickler that finds the classes of installed packages."""

        def find_class(self, module: str, name: str) -> Any:
            """Return the class or ``Missing``."""
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                return Missing


def save_checkpoint(checkpoint: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write a checkpoint atomically.

    Raises:
        OSError: if it cannot be written; the error has the name of the file.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:  # torch's zip writer, after an OSError
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
