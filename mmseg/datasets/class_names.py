"""Names, colours and ids of the Cityscapes classes."""

import colorsys
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from mmseg.utils import InputError

IGNORE_INDEX = 255

# Name of each train id, in order -> RGB colour.
_CLASSES: dict[str, tuple[int, int, int]] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
CITYSCAPES_CLASSES: tuple[str, ...] = tuple(_CLASSES)
CITYSCAPES_PALETTE: list[list[int]] = [list(colour) for colour in _CLASSES.values()]

#: Name of a mean -> its classes. Models trained on SYNTHIA are compared by the 16 classes that it
#: shares with Cityscapes, and by these without the three hardest.
_NOT_IN_SYNTHIA = {"terrain", "truck", "train"}
_HARDEST = {"wall", "fence", "pole"}
CLASS_SUBSETS: dict[str, tuple[str, ...]] = {
    "mIoU16": tuple(n for n in _CLASSES if n not in _NOT_IN_SYNTHIA),
    "mIoU13": tuple(n for n in _CLASSES if n not in _NOT_IN_SYNTHIA | _HARDEST),
}

LABEL_ID_TO_TRAIN_ID: dict[int, int] = {
    label_id: train_id
    for train_id, label_id in enumerate(
        (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    )
}


def label_id_table() -> np.ndarray:
    """Make a look-up table (256,) uint8 from train id to label id, 0 for other values."""
    table = np.zeros(256, dtype=np.uint8)
    for label_id, train_id in LABEL_ID_TO_TRAIN_ID.items():
        table[train_id] = label_id
    return table


def distinct_palette(num_classes: int) -> list[list[int]]:
    """Choose RGB colours, one for each class, that are easy to distinguish."""
    # Hues in steps of the golden ratio never repeat; brightness and saturation vary by three.
    looks = ((0.85, 0.9), (0.45, 0.95), (0.9, 0.55))
    return [
        [round(255 * value) for value in colorsys.hsv_to_rgb(i * 0.618034 % 1, *looks[i % 3])]
        for i in range(num_classes)
    ]


def check_classes(classes: Sequence[str]) -> None:
    """Raise InputError unless ``classes`` are 1 to 255 different names."""
    named = isinstance(classes, list | tuple) and all(isinstance(n, str) and n for n in classes)
    if not named or len(set(classes)) < len(classes) or not 0 < len(classes) <= IGNORE_INDEX:
        raise InputError(f"classes must be 1 to {IGNORE_INDEX} different names, not {classes!r}")


def check_palette(palette: Sequence[Sequence[int]], num_classes: int) -> None:
    """Raise InputError unless ``palette`` holds (red, green, blue) for each class."""
    colours = palette if isinstance(palette, list | tuple) else ()
    if len(colours) != num_classes:
        raise InputError(f"the palette has {len(colours)} colours for {num_classes} classes")
    for colour in colours:
        values = colour if isinstance(colour, list | tuple) else ()
        if len(values) != 3 or not all(type(v) is int and 0 <= v <= 255 for v in values):
            raise InputError(
                f"{colour!r} in the palette is not a colour: give red, green and blue, 0 to 255"
            )


def first_difference(trained: Sequence[str], tested: Sequence[str]) -> str | None:
    """Describe the first difference of two lists of classes; None if they are equal.

    Case, hyphens and underscores are ignored.
    """
    for index, (ours, theirs) in enumerate(zip_longest(trained, tested)):
        if plain_name(ours) != plain_name(theirs):
            return (
                f"class {index} is {_quoted(ours)} in the checkpoint, {_quoted(theirs)} in the data"
            )
    return None


def plain_name(name: str | None) -> str | None:
    """Return a name without differences of case, hyphens and underscores."""
    return name and " ".join(str(name).replace("_", " ").replace("-", " ").casefold().split())


def _quoted(name: str | None) -> str:
    return "missing" if name is None else repr(str(name))
