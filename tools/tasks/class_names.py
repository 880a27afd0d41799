"""Read the classes of a data set from files that people and annotation tools write."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg.utils import InputError

_FILE_NAME = re.compile(r"class|label|colou?r|palette|categor", re.I)
_VOID = {"void", "unlabeled", "unlabelled", "ignore", "ignored", "undefined", "unknown"}
_SEPARATOR = r"[\s,;:]+"
_NUMBER = r"(\d{1,3})"
# Name and colour in both orders, the first with an optional index; name and index in both orders.
_LINES = (
    rf"(?:(?P<index>\d+){_SEPARATOR})?(?P<name>[^\d\s,;:][^,;:\t]*?){_SEPARATOR}"
    rf"(?P<color>{_NUMBER}{_SEPARATOR}{_NUMBER}{_SEPARATOR}{_NUMBER})(?:[\s,;:]+(?:\D.*)?)?",
    rf"(?P<color>{_NUMBER}{_SEPARATOR}{_NUMBER}{_SEPARATOR}{_NUMBER}){_SEPARATOR}(?P<name>.*\D.*)",
    rf"(?P<index>\d+){_SEPARATOR}(?P<name>\D.*)",
    rf"(?P<name>\D.*?){_SEPARATOR}(?P<index>\d+)",
    r"(?P<name>[^,;:\t]+)",
)


@dataclass(frozen=True)
class Entry:
    """A class in a list of classes.

    Attributes:
        name: name of the class.
        index: its value in label maps, if the list says it; names alone are counted from 0.
        color: its (red, green, blue), if the list says it.
    """

    name: str
    index: int | None = None
    color: tuple[int, int, int] | None = None

    @property
    def is_void(self) -> bool:
        """Whether the name says that pixels have no class."""
        return self.name.strip("_ ").lower() in _VOID


@dataclass(frozen=True)
class ClassList:
    """Classes and the file that names them."""

    path: str
    entries: Sequence[Entry]


def find_class_list(folders: Sequence[Path]) -> ClassList | None:
    """Find the first text or CSV file in some folders whose lines all name classes.

    Known are lines of name and colour, colour and name (CamVid), ``name:r,g,b:parts:actions``
    (CVAT), name and index, index and name, or names alone (LabelMe).
    """
    for folder in dict.fromkeys(folders):
        for path in sorted(folder.iterdir()):
            fits = path.suffix.lower() in (".txt", ".csv") and _FILE_NAME.search(path.stem)
            if fits and path.is_file() and (entries := read_class_list(path)):
                return ClassList(str(path), entries)
    return None


def read_class_list(path: Path) -> list[Entry]:
    """Read the classes of a file; none if it is no list of classes.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return []
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    for pattern in _LINES:
        matches = [re.fullmatch(pattern, line) for line in lines]
        if matches and matches[0] is None and pattern != _LINES[-1]:
            del matches[0]  # the first line of a CSV names its columns
        if matches and all(matches):
            entries = [_entry(match.groupdict()) for match in matches if match]
            if all(entry.index is None and entry.color is None for entry in entries):
                # LabelMe gives this name no index.
                named = [entry.name for entry in entries if entry.name != "__ignore__"]
                entries = [Entry(name, index) for index, name in enumerate(named)]
            return entries
    return []


def _entry(parts: dict[str, str | None]) -> Entry:
    name = (parts["name"] or "").strip().strip("\"'")
    index, color = parts.get("index"), parts.get("color")
    shade = tuple(map(int, re.findall(r"\d+", color))) if color else None
    return Entry(name, None if index is None else int(index), shade)
