"""Read config files: programs (``.py``) by mmengine, data (``.json``, ``.yaml``) as plain data.

In mmengine a data config can do as much as a program: YAML tags build any object, ``_base_`` may
name a program, ``custom_imports`` imports, ``{{$HOME:}}`` reads the environment. Here a data config
contains only dicts, lists, strings, numbers, booleans and null, and its bases are data too.
"""

import ast
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config, ConfigDict

from .data_config import check_data
from .errors import InputError

DATA_SUFFIXES = (".json", ".yaml", ".yml")
MAX_BYTES = 2 << 20
#: Limits of a data config: depth of dicts and lists, number of values, and levels of bases.
MAX_DEPTH, MAX_VALUES, MAX_BASES = 50, 500_000, 32
# Other characters could end the string that a printed config makes of the key.
_KEY = re.compile(r"[^'\"\\\x00-\x1f\x7f]+")


def is_data(path: str | os.PathLike | None) -> bool:
    """Tell by its name whether a config file is data; others are programs."""
    return path is not None and Path(path).suffix in DATA_SUFFIXES


def read_config(path: str | os.PathLike) -> Config:
    """Read a config file and its ``_base_`` files.

    Args:
        path: path of a ``.py``, ``.json``, ``.yaml`` or ``.yml`` file.

    Raises:
        InputError: if the file cannot be read, its bases are missing or circular, or a data config
            contains anything but data.
    """
    path = Path(path)
    content = _Files().read(path)
    try:
        if is_data(path):
            return Config(content, filename=str(path))
        return Config.fromfile(path)
    except Exception as error:  # a config is a program: it can fail in any way
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error


class _Files:
    """The files of one config, each of which is read once."""

    def __init__(self) -> None:
        self.contents: dict[Path, dict[str, Any]] = {}

    def read(self, path: Path, chain: tuple[Path, ...] = ()) -> dict[str, Any]:
        """Check a file and its bases; read them if they are data.

        Args:
            path: path of the file.
            chain: the files that are based on it, starting with the user's.

        Returns:
            The settings of a data config merged into those of its bases; {} for a program, which
            mmengine runs.
        """
        if path.resolve() in (each.resolve() for each in chain):
            circle = " -> ".join(each.name for each in (*chain, path))
            raise _unreadable(chain[0], f"_base_ leads in a circle: {circle}")
        if len(chain) > MAX_BASES:
            raise _unreadable(chain[0], f"more than {MAX_BASES} levels of _base_ files")
        if path.resolve() not in self.contents:
            text = _text_of(path, chain)
            read = self._data if is_data(path) else self._program
            self.contents[path.resolve()] = read(path, text, (*chain, path))
        return self.contents[path.resolve()]

    def _program(self, path: Path, text: str, chain: tuple[Path, ...]) -> dict[str, Any]:
        for base in _bases_of_program(path, text):
            check_data(self.read(base, chain), base)
        return {}

    def _data(self, path: Path, text: str, chain: tuple[Path, ...]) -> dict[str, Any]:
        own = _parsed(path, text)
        bases = own.pop("_base_", [])
        merged = ConfigDict()
        for base in bases if isinstance(bases, list) else [bases]:
            if not (isinstance(base, str) and is_data(base)) or "::" in base:
                raise _unreadable(path, f"its _base_ {base!r} is not a .json, .yaml or .yml file")
            content = self.read(path.parent / base, chain)
            if both := sorted(merged.keys() & content.keys()):
                raise _unreadable(path, f"two of its _base_ files set {both[0]}")
            merged.merge(content)
        merged.merge(own)
        return merged.to_dict()


def _text_of(path: Path, chain: tuple[Path, ...]) -> str:
    if not path.is_file():
        what = f"no config at {path}" + (", which is a folder" if path.is_dir() else "")
        if chain:
            raise _unreadable(chain[-1], f"there is {what} (its _base_)")
        raise InputError(what)
    if not (is_data(path) or path.suffix == ".py"):
        raise _unreadable(path, "a config is a .py, .json, .yaml or .yml file")
    if path.stat().st_size > MAX_BYTES:
        raise _unreadable(
            path, f"it has {path.stat().st_size >> 20} MiB, a config has {MAX_BYTES >> 20} at most"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"it is not UTF-8 text (byte {error.start})") from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    """Parse a data config without its bases."""
    if not text.strip():
        raise _unreadable(path, "it is empty")
    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        if isinstance(error, yaml.constructor.ConstructorError):
            reason = f"YAML tags are not allowed in a config: {reason}"
        raise _unreadable(path, f"{type(error).__name__}: {reason}") from error
    if not isinstance(content, dict):
        raise _unreadable(path, f"it holds a {type(content).__name__}, not settings by name")
    for number, problem in enumerate(_problems(content, "", 1)):
        if number == MAX_VALUES:
            problem = f"more than {MAX_VALUES} values"
        if problem:
            raise _unreadable(path, problem)
    return content


def _problems(node: Any, where: str, depth: int) -> Iterator[str | None]:
    """Yield for each value of a data config what is wrong with it, or None."""
    yield None
    if depth > MAX_DEPTH:
        yield f"more than {MAX_DEPTH} levels of dicts and lists"
    elif isinstance(node, dict):
        for key, value in node.items():
            if not (isinstance(key, str) and _KEY.fullmatch(key)) or "{{" in key:
                yield f"{where or 'it'} has a key {key!r}, which is not a name of a setting"
            yield from _problems(value, f"{where}.{key}" if where else key, depth + 1)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _problems(value, f"{where}[{i}]", depth + 1)
    elif isinstance(node, str) and "{{" in node:
        yield f"{where} is {node!r}: only .py configs have {{{{templates}}}}"
    elif not (node is None or isinstance(node, str | bool | int | float)):
        yield f"{where} is a {type(node).__name__}: write it as a string"


def _bases_of_program(path: Path, text: str) -> Iterator[Path]:
    """Yield the files that ``_base_ = ...`` and ``with read_base(): from .x import *`` name.

    Names that are known only by running the program are left out.
    """
    try:
        body = ast.parse(text, str(path)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    parents = path.absolute().parents
    for statement in body:
        for imported in statement.body if isinstance(statement, ast.With) else ():
            if isinstance(imported, ast.ImportFrom) and 0 < imported.level <= len(parents):
                module = (imported.module or "").replace(".", "/")
                yield parents[imported.level - 1] / f"{module}.py"
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "_base_":
            # "package::path" names a config of an installed package.
            yield from (path.parent / base for base in _literal(statement) if "::" not in base)


def _literal(bases: ast.Assign) -> list[str]:
    """Return the strings of ``_base_``; empty if they are known only by running the program."""
    try:
        value = ast.literal_eval(bases.value)
    except ValueError:
        return []
    return [base for base in ([value] if isinstance(value, str) else value) if base]


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(f"{path} cannot be read: {' '.join(reason.split())}")
