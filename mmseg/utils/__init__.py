"""Errors, files and command lines: what every other part of the package leans on."""

from .errors import InputError
from .io import atomic_path, check_writable

__all__ = ["InputError", "atomic_path", "check_writable"]
