"""Find the images and videos that files, folders and patterns name."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmseg.datasets.image_files import IMAGE_SUFFIXES
from mmseg.datasets.listing import is_system_name, list_files
from mmseg.utils import InputError

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
SUFFIXES = sorted(IMAGE_SUFFIXES + VIDEO_SUFFIXES)

# Folders without regular files, with links to everywhere.
SYSTEM_FOLDERS = ("/dev", "/proc", "/sys")
SHARED_MEMORY = "/dev/shm"


@dataclass(frozen=True)
class PredictInput:
    """An image or a video.

    Attributes:
        path: path of the file.
        folder: folder for its results, relative to the folder of results: the same as below the
            searched folder.
    """

    path: Path
    folder: Path

    @property
    def is_video(self) -> bool:
        """Whether it is a video, by its suffix."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES

    @property
    def target(self) -> Path:
        """Path of its results relative to the folder of results, without suffix."""
        return self.folder / self.path.stem


def find_inputs(arguments: Sequence[str], out_dir: Path) -> list[PredictInput]:
    """Find all images and videos that ``arguments`` name, in order and without repetition.

    A file with several names, by arguments or links, is listed under the first.

    Args:
        arguments: files; folders, searched recursively for files with the suffixes of images and
            videos; patterns such as ``"photos/**/*.jpg"``. Special files (a named pipe, a device)
            are listed too: their reader reports them.
        out_dir: folder of results, which folders and patterns leave out.

    Raises:
        InputError: if an argument names nothing or a system folder, or results of two files would
            have the same name.
    """
    found: dict[Path, PredictInput] = {}
    for argument in arguments:
        for each in _named_by(argument, _real(out_dir)):
            found.setdefault(_real(each.path), each)
    _check_names(list(found.values()))
    return list(found.values())


def _named_by(argument: str, out_dir: Path) -> list[PredictInput]:
    path = Path(argument)
    if not argument:
        raise InputError("an input is empty: name a file, a folder or a pattern")
    if os.path.isdir(path):
        if _real(path).is_relative_to(out_dir):
            raise InputError(f"{argument} is in the folder of results: choose another --out-dir")
        inputs = list(_below(path, path, out_dir))
        if not inputs:
            raise InputError(f"{argument} holds no images or videos ({', '.join(SUFFIXES)})")
        return inputs
    if os.path.exists(path):
        return [PredictInput(path, Path())]
    if not glob.has_magic(argument):
        raise InputError(f"{argument}: there is no such file or folder")
    inputs = list(_matching(argument, out_dir))
    if not inputs:
        raise InputError(f"no image or video matches {argument} ({', '.join(SUFFIXES)})")
    return inputs


def _matching(pattern: str, out_dir: Path) -> Iterator[PredictInput]:
    plain = []  # the folders before the first wildcard
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        plain.append(part)
    root = Path(*plain)
    _check_not_system(root)
    for match in sorted(glob.glob(pattern, recursive=True)):
        path = Path(match)
        if any(map(is_system_name, path.relative_to(root).parts)):
            continue
        if path.is_dir():
            yield from _below(path, root, out_dir)
        elif _is_wanted(path, out_dir):
            yield PredictInput(path, path.relative_to(root).parent)


def _below(folder: Path, root: Path, out_dir: Path) -> Iterator[PredictInput]:
    _check_not_system(folder)
    for name in list_files(folder, ""):
        path = folder / name
        if _is_wanted(path, out_dir):
            yield PredictInput(path, path.relative_to(root).parent)


def _is_wanted(path: Path, out_dir: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not _real(path).is_relative_to(out_dir)


def _real(path: Path) -> Path:
    """Return the absolute path without links, also of a link to itself."""
    return Path(os.path.realpath(path))


def _check_not_system(folder: Path) -> None:
    real = _real(folder)
    in_system = any(map(real.is_relative_to, SYSTEM_FOLDERS))
    if real == Path(os.sep) or (in_system and not real.is_relative_to(SHARED_MEMORY)):
        raise InputError(f"{folder} is a folder of the system: name the folder of the images")


def _check_names(inputs: list[PredictInput]) -> None:
    first: dict[tuple[Path, bool], Path] = {}
    for each in inputs:
        other = first.setdefault((each.target, each.is_video), each.path)
        if other != each.path:
            same_folder = other.parent == each.path.parent
            way_out = "rename one" if same_folder else "give the folder that holds both"
            raise InputError(
                f"{other} and {each.path} would have results of one name, {each.target}: predict "
                f"them in two calls with a --out-dir each, or {way_out}"
            )
