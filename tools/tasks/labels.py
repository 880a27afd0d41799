"""Find out what the pixels of label maps mean, from a sample of files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmseg.datasets.class_names import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE, LABEL_ID_TO_TRAIN_ID
from mmseg.datasets.file_checks import check_regular, open_head
from mmseg.datasets.image_files import (
    UnfitLabel,
    count_values,
    read_label,
    read_label_channel,
    read_label_colors,
)
from mmseg.datasets.label_coding import code_color, color_code, color_codes
from mmseg.utils import InputError

from .class_names import ClassList, Entry

# More values or colours than these are hardly classes.
MOST_VALUES = 64
BACKGROUND = "background"
_INVENTED = "invented"
# Share of the pixels that colours beyond a list of classes may have.
_STRAY = 0.01
# Number of values or colours to name in a message.
_SHOWN = 12


@dataclass
class Pixels:
    """What a sample of label maps holds.

    Attributes:
        paths: the files, of which the first are examples in messages.
        single: number of files with one channel.
        values: number of pixels of each value of these.
        colors: number of pixels of each colour (as a code) of files with several channels or a
            palette.
        reds: number of pixels of each value in the red channel of files with several channels.
        is_grey: whether their channels are equal in every pixel, or all but the red one are 0.
        palette: value -> colour (as a code) in the palette of the first file.
    """

    paths: Sequence[str]
    single: int = 0
    values: Counter[int] = field(default_factory=Counter)
    colors: Counter[int] = field(default_factory=Counter)
    reds: Counter[int] = field(default_factory=Counter)
    is_grey: bool = True
    palette: dict[int, int] = field(default_factory=dict)


def look_at(paths: Sequence[str]) -> Pixels:
    """Read label maps and count their values and colours.

    Raises:
        InputError: if a file is damaged or no label map of any kind, or one and several channels
            are mixed.
    """
    found = Pixels(paths)
    for path in paths:
        check_regular(path)
        with open_head(path, path) as image:
            bands, has_palette = len(image.getbands()), image.mode == "P"
            if has_palette and not found.palette:
                shades = np.array(image.getpalette("RGB")).reshape(-1, 3).tolist()
                found.palette = {value: color_code(shade) for value, shade in enumerate(shades)}
        if bands == 1:
            found.single += 1
            counts = count_values(read_label(path))
            found.values.update({int(v): int(counts[v]) for v in np.flatnonzero(counts)})
        if bands > 1 or has_palette:
            _add_colors(found, path, bands)
    if 0 < found.single < len(paths):
        raise InputError(
            f"{found.single} of {len(paths)} label maps have one channel and the others several: "
            f"name the folder of one kind by --labels (the first is {paths[0]})"
        )
    return found


def _add_colors(found: Pixels, path: str, bands: int) -> None:
    try:
        codes = counted_codes(color_codes(read_label_colors(path)))
    except UnfitLabel:  # 16 bits a channel
        reds = count_values(read_label_channel(path))
        found.reds.update({int(v): int(reds[v]) for v in np.flatnonzero(reds)})
        return
    found.colors.update(codes)
    if bands > 1:
        for code, count in codes.items():
            red, green, blue = code_color(code)
            found.reds[red] += count
            found.is_grey &= green == blue and green in (0, red)


def counted_codes(codes: np.ndarray) -> dict[int, int]:
    """Count the values of an array that has long runs of equal ones, as label maps have."""
    flat = codes.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(np.append(starts, flat.size))
    values, places = np.unique(flat[starts], return_inverse=True)
    counts = np.bincount(places.ravel(), lengths)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


@dataclass
class Meaning:
    """Classes, and what the pixels of label maps mean.

    Attributes:
        classes: names of the classes.
        palette: their colours, if known.
        coding: arguments ``labels``, ``label_map`` and ``ignore`` of a data set.
        names_from: where the names come from.
        doubts: what may be wrong, a line each.
    """

    classes: list[str]
    palette: list[list[int]] | None = None
    coding: dict = field(default_factory=dict)
    names_from: str = _INVENTED
    doubts: list[str] = field(default_factory=list)

    @property
    def is_invented(self) -> bool:
        """Whether nothing says what the classes are called."""
        return self.names_from == _INVENTED


def meaning_of(
    pixels: Pixels, names: Sequence[str] | None, listed: ClassList | None, suffix: str
) -> Meaning:
    """Choose classes and the coding of label maps by what a sample of them holds.

    Args:
        pixels: what the sample holds.
        names: names of the classes from the command line.
        listed: list of classes in a file.
        suffix: end of the names of label maps.

    Raises:
        InputError: if values and names do not fit, or there is nothing to tell apart.
    """
    entries = [Entry(name) for name in names] if names else list(listed.entries) if listed else []
    shades = {color_code(e.color): e for e in entries if e.color}
    if not _are_in_order(pixels, entries) and _shows_colors(pixels, shades):
        found = _of_colors(pixels, entries, shades)
    else:
        red = not pixels.single
        found = _of_values(pixels.reds if red else pixels.values, entries, suffix)
        if red:
            found.coding = {"labels": "red", **found.coding}
            if not pixels.is_grey:
                found.doubts.append(
                    "label maps have colours, but the classes seem to be the values of the red "
                    "channel (labels)"
                )
    if names:
        found.names_from = "--classes"
    elif listed:
        found.names_from = listed.path
    if len(found.classes) < 2:
        raise InputError(
            f"the label maps show one class ({found.classes[0]}), and there is nothing to tell it "
            f"from; the first of {len(pixels.paths)} looked at is {pixels.paths[0]}"
        )
    return found


def _are_in_order(pixels: Pixels, entries: Sequence[Entry]) -> bool:
    """Tell whether values are the indices of listed classes, as colours of a palette prove."""
    colors = [color_code(entry.color) for entry in entries if entry.color and not entry.is_void]
    if not pixels.palette or not colors or len(colors) < len(entries):
        return False
    values = [value for value in pixels.values if value != 255]
    return max(values, default=0) < len(colors) and all(
        pixels.palette.get(value) == colors[value] for value in values
    )


def _shows_colors(pixels: Pixels, shades: Mapping[int, Entry]) -> bool:
    """Tell whether classes are colours; False: they are values, of the red of several channels."""
    known = sum(count for code, count in pixels.colors.items() if code in shades)
    if shades and known > (1 - _STRAY) * sum(pixels.colors.values()) > 0:
        return True
    if pixels.single or not pixels.colors:
        return False
    # A mask of 0 and 255 too: 255 is of no class, or the other class.
    if pixels.is_grey and max({0, *pixels.reds} - {255}) < MOST_VALUES:
        return False
    if len(pixels.colors) <= MOST_VALUES:
        return True
    if len(pixels.reds) <= MOST_VALUES:
        return False
    raise InputError(
        f"{len(pixels.colors)} colours in {len(pixels.paths)} label maps are too many for classes "
        f"(the first is {pixels.paths[0]}): name another folder by --labels, or export the label "
        "maps without smoothing"
    )


def _of_colors(pixels: Pixels, entries: Sequence[Entry], shades: Mapping[int, Entry]) -> Meaning:
    """Choose classes that are colours."""
    found = sorted(pixels.colors)
    if shades:
        kept = [entry for entry in entries if not entry.is_void and entry.color]
        void = [entry.color for entry in entries if entry.is_void and entry.color]
        stray = [code_color(code) for code in found if code not in shades]
        meaning = Meaning([e.name for e in kept], [list(e.color) for e in kept])
        if void or stray:
            meaning.coding["ignore"] = [_text(color) for color in (*void, *stray)]
        if stray:
            meaning.doubts.append(
                f"colours without a name have no class now (ignore): {_shorten(stray)}"
            )
    elif len(entries) == 1 and len(found) == 2:
        # Code 0, black, is the first.
        meaning = Meaning([BACKGROUND, entries[0].name], [list(code_color(c)) for c in found])
    else:
        _check_count(entries, [code_color(c) for c in found], "colours")
        names = [e.name for e in entries] or [f"class {i}" for i in range(len(found))]
        meaning = Meaning(names, [list(code_color(code)) for code in found])
        listing = [f"{n} {code_color(c)}" for n, c in zip(names, found, strict=True)]
        meaning.doubts.append(f"which colour is which class: {_shorten(listing)}")
    meaning.coding = {"labels": "colors", **meaning.coding}
    return meaning


def _of_values(counts: Mapping[int, int], entries: Sequence[Entry], suffix: str) -> Meaning:
    """Choose classes that are values."""
    values = sorted(counts)
    others = [value for value in values if value != 255]
    if len(values) > MOST_VALUES and not entries:
        raise InputError(
            f"label maps hold {len(values)} values, too many for classes without names: give "
            "--classes or a file of names, or another folder by --labels"
        )
    if any(entry.index is not None for entry in entries):
        return _of_indices(values, entries)
    if not entries and suffix.lower().endswith("labelids.png"):
        ids = {str(k): v for k, v in LABEL_ID_TO_TRAIN_ID.items()}
        rest = [value for value in range(34) if value not in LABEL_ID_TO_TRAIN_ID]
        palette = [list(color) for color in CITYSCAPES_PALETTE]
        coding = {"label_map": ids, "ignore": rest}
        return Meaning(list(CITYSCAPES_CLASSES), palette, coding, "Cityscapes' label ids")
    if not entries and suffix.lower().endswith("trainids.png") and others[-1:] <= [18]:
        palette = [list(color) for color in CITYSCAPES_PALETTE]
        return Meaning(list(CITYSCAPES_CLASSES), palette, {}, "Cityscapes' train ids")
    names = [entry.name for entry in entries]
    if len(others) == 1 and 255 in values and len(names) in (0, 1, 2):
        return _of_two(others[0], 255, names)
    if len(names) == 1:
        if len(others) != 2:
            raise InputError(
                f"--classes names one class, but label maps hold the values {_shorten(values)}: "
                "name the class of each, also of the rest"
            )
        return _of_two(*others, names)
    if not names:
        meaning = Meaning([f"class {value}" for value in others])
        meaning.doubts.append(
            "the names of the classes: give --classes, or a file classes.json or labels.txt"
        )
        names = meaning.classes
    elif others[-1] < len(names):
        colors = [list(entry.color) for entry in entries if entry.color]
        return Meaning(names, colors if len(colors) == len(names) else None)
    else:
        _check_count(entries, others, "values")
        meaning = Meaning(names)
        listing = [f"{v} {n}" for v, n in zip(others, names, strict=True)]
        meaning.doubts.append(f"which value is which class: {_shorten(listing)}")
    if others != list(range(len(others))):
        meaning.coding["label_map"] = {str(value): index for index, value in enumerate(others)}
    return meaning


def _of_two(low: int, high: int, names: Sequence[str]) -> Meaning:
    """Choose a background and a class."""
    names = [BACKGROUND, *(names or [f"class {high}"])][-2:]
    meaning = Meaning(names)
    if (low, high) != (0, 1):
        meaning.coding["label_map"] = {str(low): 0, str(high): 1}
        meaning.doubts.append(f"{low} is read as {names[0]} and {high} as {names[1]} (label_map)")
    return meaning


def _of_indices(values: Sequence[int], entries: Sequence[Entry]) -> Meaning:
    """Choose classes whose values a list gives; of one class, the rest is the background."""
    kept = [e for e in entries if e.index is not None and e.index != 255 and not e.is_void]
    void = [e.index for e in entries if e.is_void and e.index is not None and e.index < 255]
    label_map = {e.index: i for i, e in enumerate(kept)}
    names = [e.name for e in kept]
    doubts = []
    unnamed = [v for v in values if v not in label_map and v not in void]
    if len(kept) == 1 and unnamed:
        label_map = {kept[0].index: 1} | dict.fromkeys(unnamed, 0)
        names = [BACKGROUND, *names]
        doubts.append(f"values that are not {names[1]} are read as background (label_map)")
    elif strange := [value for value in unnamed if value != 255]:
        raise InputError(f"label maps hold the values {_shorten(strange)}, which have no name")
    meaning = Meaning(names, doubts=doubts)
    if any(index != value for value, index in label_map.items()):
        meaning.coding["label_map"] = {str(value): i for value, i in label_map.items()}
    if void:
        meaning.coding["ignore"] = void
    if all(entry.color for entry in kept) and len(names) == len(kept):
        meaning.palette = [list(entry.color or ()) for entry in kept]
    return meaning


def _check_count(entries: Sequence[Entry], found: Sequence, what: str) -> None:
    if entries and len(entries) != len(found):
        raise InputError(
            f"there are {len(entries)} names of classes, but label maps hold {len(found)} {what} "
            f"({_shorten(found)}): name each, or list the classes with their {what} in a text file"
        )


def _text(color: Sequence[int] | None) -> str:
    return " ".join(map(str, color or ()))


def _shorten(values: Sequence) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(map(str, values[:_SHOWN])) + more
