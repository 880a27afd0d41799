"""Check the zip of a submission before it is sent to a test server."""

import io
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from mmseg.datasets.class_names import IGNORE_INDEX
from mmseg.datasets.image_files import count_values, read_label
from mmseg.utils import InputError
from mmseg.utils.jobs import with_progress

from .servers import (
    ANYWHERE,
    BENCHMARKS,
    CONFIDENCE,
    INVALID,
    LABELS,
    Benchmark,
    Size,
    benchmark_named,
    images_below,
)

NUM_EXAMPLES = 3
# Upper limits against zip bombs: a PNG of an 8-bit map at these sizes has some hundred kilobytes.
MAX_ENTRIES = 100_000
MAX_ENTRY_BYTES = 16 << 20
_MODES = {"1": "1 bit", "LA": "grey and alpha", "P": "a palette"}

# folder -> image -> path in the zip
Maps = dict[str, dict[str, str]]


@dataclass(frozen=True)
class SubmissionReport:
    """Result of checking a submission.

    Attributes:
        benchmark: key of ``BENCHMARKS``.
        num_images: number of images with predictions.
        errors: one line per fault.
        notes: one line per other remark.
    """

    benchmark: str
    num_images: int
    errors: list[str]
    notes: list[str]

    def text(self) -> str:
        """Format the notes and the verdict."""
        row = BENCHMARKS[self.benchmark]
        images = f"{row.title}, {_counted(self.num_images, 'image')}"
        verdict = f"{images}: {_counted(len(self.errors), 'fault')}"
        if not self.errors:
            folders = ", ".join(f"{name}/" for name in row.folders if name != ANYWHERE)
            count = "count, " if self.num_images == row.num_images else ""
            checked = f"{folders + ': ' if folders else ''}{count}names, sizes, mode and values"
            verdict = f"{images}: {checked} are as its server expects them"
        return "\n".join([*(f"note: {line}" for line in self.notes), verdict])


class _Findings:
    """Faults with the files that have them, one line each."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def add(self, fault: str, *files: str) -> None:
        self._files.setdefault(fault, []).extend(files)

    def lines(self) -> list[str]:
        return [_line(fault, files) for fault, files in self._files.items()]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _line(fault: str, files: list[str]) -> str:
    if not files:
        return fault
    count = f"{len(files)} files, such as " if len(files) > NUM_EXAMPLES else ""
    return f"{fault}: {count}{', '.join(files[:NUM_EXAMPLES])}"


def check_submission(
    path: str | os.PathLike,
    benchmark: str | None = None,
    images: Mapping[str, Size] | Path | None = None,
    size: Size | None = None,
) -> SubmissionReport:
    """Check a zip: its folders, and the name, size, mode and values of each map.

    Args:
        path: path of the zip.
        benchmark: key of ``BENCHMARKS``; None: recognised by the names of the files.
        images: names and sizes of the test images, as of
            :func:`~tools.submission.servers.image_sizes`, or the folder of these images. None:
            number and size must be those of the real test set.
        size: (width, height) of all images, if ``images`` is None.

    Raises:
        InputError: if the file is not a zip, or fits no benchmark.
    """
    errors, notes = _Findings(), _Findings()
    with _opened(path) as archive:
        if len(archive.filelist) > MAX_ENTRIES:
            raise InputError(
                f"{path} lists {len(archive.filelist)} files, more than {MAX_ENTRIES}: it is no "
                "submission"
            )
        benchmark = benchmark or _recognised(archive.namelist(), path)
        row = benchmark_named(benchmark)
        images = images_below(row, images) if isinstance(images, Path) else images
        maps = _sorted_maps(archive, row, errors, notes)
        _check_names(maps, row, images, errors)
        if images is not None and len(images) != row.num_images:
            notes.add(f"{row.title} has {row.num_images} images, not {len(images)}")
        _check_maps(archive, maps, row, images, size or row.size, errors, notes)
    num_images = max(len(files) for files in maps.values())
    return SubmissionReport(benchmark, num_images, errors.lines(), notes.lines())


def _opened(path: str | os.PathLike) -> zipfile.ZipFile:
    """Open a zip and read its list of files; report a damaged one."""
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise InputError(f"no zip at {path}") from error
    # Damage can also look like a later version of the format, or like an undecodable name.
    except (zipfile.BadZipFile, NotImplementedError, UnicodeError, IsADirectoryError) as error:
        raise InputError(f"{path} is not a zip file, or is damaged") from error


def _recognised(names: list[str], path: str | os.PathLike) -> str:
    """Choose the benchmark that fits most names; of several, the nearest in number of images."""
    paths = [PurePosixPath(name) for name in names]

    def fit(key: str) -> tuple[int, int]:
        row = BENCHMARKS[key]
        known = sum(bool(row.image_of(p.name) or set(row.folders) & set(p.parts)) for p in paths)
        return known, -abs(len(paths) // len(row.folders) - row.num_images)

    best = max(BENCHMARKS, key=fit)
    if fit(best)[0] == 0:
        raise InputError(
            f"{path} does not look like a submission to {', '.join(BENCHMARKS)}: "
            "name the benchmark by --benchmark"
        )
    return best


def _sorted_maps(
    archive: zipfile.ZipFile, benchmark: Benchmark, errors: _Findings, notes: _Findings
) -> Maps:
    maps: Maps = {folder: {} for folder in benchmark.folders}
    outer_folders = set()
    for info in archive.infolist():
        if info.is_dir():
            continue
        path = PurePosixPath(info.filename)
        hidden = path.name.startswith(".") or "__MACOSX" in path.parts
        outer, folder, inner = _place(path, benchmark)
        if folder is None or hidden:
            notes.add("not part of the submission", info.filename)
            continue
        if outer:
            outer_folders.add(f"{outer}/")
        if inner:
            errors.add("in a subfolder", info.filename)
        image = benchmark.image_of(path.name)
        if image is None:
            errors.add(f"not named {benchmark.file_name_text}", info.filename)
        elif image in maps[folder]:
            errors.add("a second map of one image", info.filename)
        else:
            maps[folder][image] = info.filename
    if outer_folders:
        text = ", ".join(f"{name}/" for name in benchmark.folders)
        fault = f"{text} must be at the root of the zip, not in"
        errors.add(fault, *sorted(outer_folders))
    for folder, files in maps.items():
        if not files:
            errors.add(f"{folder}/ is missing, or holds no maps" if folder else "no maps in it")
    return maps


def _place(path: PurePosixPath, benchmark: Benchmark) -> tuple[str, str | None, str]:
    """Split a path into outer folders, folder of the maps (None: not a map), inner folders."""
    parents = path.parts[:-1]
    if ANYWHERE in benchmark.folders:
        return "", ANYWHERE if path.suffix == ".png" else None, ""
    for i, name in enumerate(parents):
        if name in benchmark.folders:
            return "/".join(parents[:i]), name, "/".join(parents[i + 1 :])
    return "", None, ""


def _check_names(
    maps: Maps, benchmark: Benchmark, images: Mapping[str, Size] | None, errors: _Findings
) -> None:
    """Check that each folder has a map of each image, of ``images`` or of the other folders."""
    votes = Counter(image for files in maps.values() for image in files)
    folders_there = sum(bool(files) for files in maps.values())
    wanted = {image for image, n in votes.items() if n > folders_there / 2}
    wanted = wanted if images is None else set(images)
    for folder, files in maps.items():
        if not files:
            continue
        head = f"{folder}/" if folder else ""
        if images is None and len(files) != benchmark.num_images:
            found = _counted(len(files), "image") + (f" in {head}" if head else "")
            errors.add(f"{found} instead of {benchmark.num_images}")
        if missing := sorted(wanted - set(files)):
            errors.add("missing", *(f"{head}{image}.png" for image in missing))
        if extra := sorted(set(files) - wanted):
            fault = "in this folder only" if images is None else "of no image of the test set"
            errors.add(fault, *(files[image] for image in extra))


def _check_maps(
    archive: zipfile.ZipFile,
    maps: Maps,
    benchmark: Benchmark,
    images: Mapping[str, Size] | None,
    size: Size,
    errors: _Findings,
    notes: _Findings,
) -> None:
    """Check each map, with those of one image in memory at a time."""
    copies = others = 0
    for image in with_progress(sorted(set().union(*maps.values())), "checking"):
        expected = size if images is None else images.get(image)
        found = {
            folder: _values(archive, files[image], expected, errors)
            for folder, files in maps.items()
            if image in files
        }
        for folder, values in found.items():
            if values is not None:
                _check_values(values, folder, maps[folder][image], benchmark, errors)
        labels, confidence = found.get(LABELS), found.get(CONFIDENCE)
        if labels is not None and confidence is not None:
            copies += np.array_equal(labels, confidence)
        others += _differs_in_valid_pixels(labels, found.get(INVALID))
    if others:
        notes.add(
            f"{INVALID}/ differs from {LABELS}/ by more than invalid pixels (255) in "
            f"{_counted(others, 'image')}"
        )
    if copies:
        notes.add(
            f"{CONFIDENCE}/ holds the labels, not confidences, of {_counted(copies, 'image')}"
        )


def _differs_in_valid_pixels(labels: np.ndarray | None, invalid: np.ndarray | None) -> bool:
    """Tell whether a pixel of ``invalid`` is neither invalid nor equal to the label."""
    if labels is None or invalid is None or labels.shape != invalid.shape:
        return False
    return bool(((invalid != labels) & (invalid != IGNORE_INDEX)).any())


def _values(
    archive: zipfile.ZipFile, name: str, size: Size | None, errors: _Findings
) -> np.ndarray | None:
    """Read a map as (H, W) uint8; None if it is wrong. ``size``: (width, height); None: any."""
    try:
        with archive.open(name) as file:  # unpack no more, even if the zip announces less
            data = file.read(MAX_ENTRY_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, UnicodeError, EOFError, OSError):
        errors.add("damaged within the zip", name)
        return None
    except RuntimeError:  # of zipfile: a password or a rare compression is needed
        errors.add("encrypted, or compressed by an unknown method", name)
        return None
    if len(data) > MAX_ENTRY_BYTES:
        errors.add(f"more than {MAX_ENTRY_BYTES >> 20} MiB when unpacked", name)
        return None
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            mode, found = image.mode, image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        errors.add("not a PNG image, although its name says so", name)
        return None
    if mode != "L":
        mode = _MODES.get(mode, "16 bits" if mode.startswith("I") else mode)
        errors.add(f"{mode} instead of one 8-bit grey channel", name)
        return None
    if size is not None and found != size:
        errors.add(f"{found[0]}x{found[1]} pixels instead of {size[0]}x{size[1]}", name)
        if found[0] * found[1] > 4 * size[0] * size[1]:  # not worth the memory
            return None
    try:
        return read_label(name, data)
    except InputError:
        errors.add("truncated or damaged", name)
        return None


def _check_values(
    values: np.ndarray, folder: str, name: str, benchmark: Benchmark, errors: _Findings
) -> None:
    allowed = benchmark.folders[folder]
    strange = [int(v) for v in np.flatnonzero(count_values(values)) if v not in allowed]
    if strange:
        some = ", ".join(map(str, strange[:NUM_EXAMPLES]))
        more = ", ..." if len(strange) > NUM_EXAMPLES else ""
        errors.add(
            f"values other than the {benchmark.ids} {_ranges(allowed)}", f"{name} ({some}{more})"
        )


def _ranges(values: frozenset[int]) -> str:
    """Format values as ranges, for instance "0-18, 255"."""
    numbers = sorted(values)
    starts = [v for v in numbers if v - 1 not in values]
    ends = [v for v in numbers if v + 1 not in values]
    pairs = zip(starts, ends, strict=True)
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in pairs)
