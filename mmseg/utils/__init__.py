"""Utilities for the other packages: errors, files, configs, command lines."""

from .errors import InputError, Interrupted, RankError, SharedError, built_from_config
from .io import atomic_path, check_writable, remove_unfinished, undone_on_error

__all__ = [
    "InputError",
    "Interrupted",
    "RankError",
    "SharedError",
    "atomic_path",
    "built_from_config",
    "check_writable",
    "remove_unfinished",
    "undone_on_error",
]
