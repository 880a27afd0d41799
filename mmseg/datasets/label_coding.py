"""How label maps show classes: as indices, as other values, as colours or in one channel."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

import cv2
import numpy as np

from mmseg.utils import InputError

from .class_names import IGNORE_INDEX
from .image_files import (
    UnfitLabel,
    count_values,
    largest_class,
    read_label,
    read_label_channel,
    read_label_colors,
)

#: What the pixels of label maps are: one channel of values; colours; the red one of three channels.
Labels = Literal["indices", "colors", "red"]
#: A value, or a colour as a list or as text: "128 64 128".
Value = int | str | Sequence[int]
# Number of unknown values or colours to name in a message.
_SHOWN = 8
# One value of a byte remains for pixels of unknown value.
_MOST_CLASSES = 254


class LabelCoding:
    """Translate the pixels of label maps to classes by a table look-up.

    Without ``label_map``, values are class indices, and colours those of the palette. The value 255
    means no class unless ``label_map`` has it. A label map with any other value is refused.

    Args:
        classes: names of the classes.
        palette: their colours (red, green, blue), for ``labels="colors"`` without ``label_map``.
        labels: what the pixels are.
        label_map: value or colour -> index or name of its class. Several may share a class.
        ignore: values or colours of no class.

    Raises:
        InputError: if a value, colour or class does not exist or is given twice.
    """

    def __init__(
        self,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]] | None = None,
        labels: Labels = "indices",
        label_map: Mapping[int | str, int | str] | None = None,
        ignore: Iterable[Value] = (),
    ) -> None:
        if labels not in get_args(Labels):
            raise InputError(f"labels is {labels!r}: choose from {', '.join(get_args(Labels))}")
        self.labels: Labels = labels
        self.num_classes = len(classes)
        if label_map is not None:
            targets = {self._code(v): _class_of(c, classes) for v, c in label_map.items()}
        elif labels == "colors":
            targets = _palette_codes(palette or ())
        else:
            targets = {index: index for index in range(len(classes))}
        for value in ignore:
            if (code := self._code(value)) in targets:
                raise InputError(f"ignore has {value!r}, which is the value of a class: remove one")
            targets[code] = IGNORE_INDEX
        if labels != "colors":
            targets.setdefault(IGNORE_INDEX, IGNORE_INDEX)
        if len(classes) > _MOST_CLASSES or (labels == "colors" and len(targets) > _MOST_CLASSES):
            raise InputError(f"label maps are translated to at most {_MOST_CLASSES} classes")
        # Colours first become the values 1, 2, ..., and unknown ones 0.
        self._codes = tuple(targets)
        keys = range(1, len(targets) + 1) if labels == "colors" else self._codes
        self._table = np.full(256, self.num_classes, np.uint8)
        self._table[list(keys)] = list(targets.values())

    def read(self, path: str) -> np.ndarray:
        """Read a label map as class indices (H, W) uint8, 255 for no class.

        Raises:
            UnfitLabel: if it is of another kind, or has a value or colour without a class.
            InputError: if the file is missing, damaged, too large or not a regular file.
        """
        if self.labels == "colors":
            colors = color_codes(read_label_colors(path))
            values = _color_slots(self._codes).take(colors)
        else:
            values = read_label(path) if self.labels == "indices" else read_label_channel(path)
        label = cv2.LUT(values, self._table)
        if largest_class(label) == self.num_classes:
            raise self._unknown(path, colors[values == 0] if self.labels == "colors" else values)
        return label

    def _unknown(self, path: str, pixels: np.ndarray) -> UnfitLabel:
        """Make the error for a label map with values or colours that stand for nothing."""
        if self.labels != "colors":
            found = [
                v for v in np.flatnonzero(count_values(pixels)).tolist() if v not in self._codes
            ]
            fault = "which no class has: extend label_map or ignore of the data set"
            return UnfitLabel(f"{path} holds the {_listed('value', found)}, {fault}", fault, found)
        codes, counts = np.unique(pixels, return_counts=True)
        shades = [code_color(code) for code in codes[np.argsort(-counts)].tolist()]
        fault = (
            "which no class has: extend palette, label_map or ignore; if they are the "
            "smooth edges of regions, export the label maps without smoothing"
        )
        message = f"{path} holds the {_listed('colour', shades)}, {fault}"
        return UnfitLabel(message, fault, shades[:_SHOWN])

    def _code(self, value: Any) -> int:
        """Return a value as a number: 0 to 255, or the code of a colour."""
        parts = re.split(r"[\s,]+", value.strip(" ()[]")) if isinstance(value, str) else value
        try:
            numbers = [int(p) for p in (parts if isinstance(parts, list | tuple) else [parts])]
        except (TypeError, ValueError):
            numbers = []
        wanted = 3 if self.labels == "colors" else 1
        if len(numbers) != wanted or not all(0 <= n <= 255 for n in numbers):
            kind = 'a colour ("128 64 128")' if wanted == 3 else "a value, 0 to 255"
            raise InputError(f"{value!r} in label_map or ignore is not {kind}")
        return color_code(numbers) if wanted == 3 else numbers[0]


def read_label_map(info: Mapping[str, Any]) -> np.ndarray:
    """Read the label map of a sample as classes (H, W) uint8, 255 for no class.

    Args:
        info: what ``get_data_info`` of a data set returns.
    """
    coding = info.get("label_coding")
    path = info["seg_map_path"]
    return read_label(path) if coding is None else coding.read(path)


def color_code(color: Sequence[int]) -> int:
    """Return (red, green, blue) as one number below 2**24."""
    return color[0] | color[1] << 8 | color[2] << 16


def code_color(code: int) -> tuple[int, int, int]:
    """Return the (red, green, blue) of :func:`color_code`."""
    return code & 255, code >> 8 & 255, code >> 16


def color_codes(colors: np.ndarray) -> np.ndarray:
    """Return the code of each pixel of (H, W, 3) uint8, RGB: (H, W) uint32."""
    codes = cv2.cvtColor(colors, cv2.COLOR_RGB2RGBA).view("<u4")[..., 0]
    codes &= 0xFFFFFF  # drop alpha
    return codes


@lru_cache(maxsize=4)
def _color_slots(codes: tuple[int, ...]) -> np.ndarray:
    """Make a look-up table from code of a colour to its place in ``codes`` from 1 on, else 0.

    Of its 16 MiB only the pages of colours that occur take memory. Each process makes one: tables
    are not sent to the workers of data loaders.
    """
    table = np.zeros(2**24, np.uint8)
    table[list(codes)] = range(1, len(codes) + 1)
    return table


def _palette_codes(palette: Sequence[Sequence[int]]) -> dict[int, int]:
    codes = [color_code(color) for color in palette]
    for index, color in enumerate(palette):
        if codes.index(codes[index]) != index:
            raise InputError(
                f"the palette gives two classes the colour {tuple(color)}, so labels='colors' "
                "cannot tell them apart"
            )
    if not codes:
        raise InputError("labels='colors' needs a palette, the colour of each class")
    return {code: index for index, code in enumerate(codes)}


def _class_of(target: int | str, classes: Sequence[str]) -> int:
    """Return the index of a class that is given by index or by name; 255 stays."""
    index = classes.index(target) if target in classes else target
    if type(index) is not int or not (0 <= index < len(classes) or index == IGNORE_INDEX):
        raise InputError(
            f"label_map gives the class {target!r}: give a name of a class, or an index of 0 to "
            f"{len(classes) - 1}"
        )
    return index


def _listed(kind: str, values: Sequence) -> str:
    """List the first values: "value 7", "colours (1, 2, 3), (4, 5, 6) and 12 more"."""
    text = ", ".join(map(str, values[:_SHOWN]))
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return f"{kind}{'s' * (len(values) > 1)} {text}{more}"
