"""List the files below a folder."""

import os
from collections.abc import Iterator

from mmseg.utils import InputError

# Names of files and folders that operating systems and servers create, next to hidden ones.
_SYSTEM_NAMES = {
    "$recycle.bin",
    "#recycle",
    "#snapshot",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "__macosx",
    "lost+found",
    "system volume information",
    "thumbs.db",
}


def list_files(folder: str | os.PathLike, suffix: str | tuple[str, ...]) -> list[str]:
    """List the files below ``folder`` that end with ``suffix``, relative to it and sorted.

    With several suffixes, any of them may match. Hidden files (such as temporary files of a killed
    writer), hidden and system folders, and special files such as pipes are left out. Links are
    followed, but not to a folder that contains the link or is inside the searched one, which would
    list files many times. Broken links are listed, so that their reader reports them.

    Raises:
        InputError: if a folder cannot be read.
    """
    root = os.fspath(folder)
    if not os.path.isdir(root):
        return []
    return sorted(_walk(root, "", suffix, (os.path.realpath(root),)))


def is_system_name(name: str) -> bool:
    """Tell whether a file or folder of this name is hidden or made by the system."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _walk(
    folder: str, head: str, suffix: str | tuple[str, ...], trees: tuple[str, ...]
) -> Iterator[str]:
    """Yield the files below a folder, whose relative path is ``head``.

    ``trees`` are the real paths of the searched folder and of the links that led to this one.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not is_system_name(entry.name)]
    except OSError as error:
        raise InputError(f"folder {folder} cannot be read: {error.strerror or error}") from error
    for entry in found:
        name = head + entry.name
        if not entry.is_symlink():
            if entry.is_dir():
                yield from _walk(entry.path, f"{name}/", suffix, trees)
            elif name.endswith(suffix) and entry.is_file():
                yield name
        elif os.path.isdir(entry.path):
            target = os.path.realpath(entry.path)
            if not any(os.path.commonpath((target, tree)) in (target, tree) for tree in trees):
                yield from _walk(entry.path, f"{name}/", suffix, (*trees, target))
        elif name.endswith(suffix) and (
            os.path.isfile(entry.path) or not os.path.exists(entry.path)
        ):
            yield name
