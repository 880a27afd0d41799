"""The names and colours of any data set's classes."""

import colorsys
from collections.abc import Sequence

from mmseg.utils import InputError

from .class_names import IGNORE_INDEX


def distinct_palette(num_classes: int) -> list[list[int]]:
    """As many RGB colours that are easy to tell apart."""
    # Steps of the golden ratio never meet a hue again; every third colour is pale or dark.
    looks = ((0.85, 0.9), (0.45, 0.95), (0.9, 0.55))
    return [
        [round(255 * value) for value in colorsys.hsv_to_rgb(i * 0.618034 % 1, *looks[i % 3])]
        for i in range(num_classes)
    ]


def check_classes(classes: Sequence[str]) -> None:
    """Raise InputError unless ``classes`` are different names, of which labels can hold 255."""
    named = isinstance(classes, list | tuple) and all(isinstance(n, str) and n for n in classes)
    if not named or len(set(classes)) < len(classes) or not 0 < len(classes) <= IGNORE_INDEX:
        raise InputError(f"classes must be 1 to {IGNORE_INDEX} different names, not {classes!r}")


def check_palette(palette: Sequence[Sequence[int]], num_classes: int) -> None:
    """Raise InputError unless ``palette`` holds a colour, red, green and blue, for each class."""
    colours = palette if isinstance(palette, list | tuple) else ()
    if len(colours) != num_classes:
        raise InputError(f"the palette has {len(colours)} colours for {num_classes} classes")
    for colour in colours:
        values = colour if isinstance(colour, list | tuple) else ()
        if len(values) != 3 or not all(type(v) is int and 0 <= v <= 255 for v in values):
            raise InputError(
                f"{colour!r} in the palette is no colour: give red, green and blue, 0 to 255"
            )
