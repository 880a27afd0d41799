"""Check which classes occur in label maps; others cannot be learned."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from mmseg.utils import InputError

from .basesegdataset import BaseSegDataset
from .class_names import IGNORE_INDEX
from .image_files import count_values
from .label_coding import read_label_map

# Largest number of label maps to read without statistics if they contain two classes ...
SAMPLE = 100
# ... and if not: in some data sets (defects, fires) most images contain one class.
LARGE_SAMPLE = 1000
# Number of label maps to read with statistics, which leave out 255, to list the values found.
EXAMPLES = 10
# Number of classes to name in a message.
SHOWN = 8


def check_occurring(dataset: BaseSegDataset, counted: Collection[int] | None = None) -> str | None:
    """Find classes that occur in no label map.

    Args:
        dataset: data set that reads labels.
        counted: values that occur in its label maps; None: read a sample of the label maps until
            every class has occurred.

    Returns:
        A warning that names classes that may be absent on purpose; None if all occur.

    Raises:
        InputError: if there is one class, fewer than two occur, or one is missing in a data set
            that must have all of them (:class:`~mmseg.datasets.FolderDataset`).
    """
    check_several(dataset.metainfo["classes"])
    total = number = len(dataset)
    if counted is None:
        values, number = _sampled_values(dataset, SAMPLE, LARGE_SAMPLE)
    else:
        values = set(counted)
    names = dataset.metainfo["classes"]
    missing = [i for i in absent_from(names, values) if names[i] not in dataset.absent_classes]
    if not missing:
        return None
    if counted is not None:
        values |= _sampled_values(dataset, EXAMPLES, EXAMPLES)[0]
    maps = "no label map" if number == total else f"none of {number} of the {total} label maps"
    text = absence_message(f"{maps} of {dataset.data_root}", names, missing, values)
    if dataset.NEEDS_ALL_CLASSES and number == total and not dataset.is_subset:
        raise InputError(
            f"{text}. Name a class that is absent on purpose in absent_classes of the data set"
        )
    if is_too_few(names, values):
        raise InputError(text)
    return text


def check_several(classes: Sequence[str]) -> None:
    """Raise InputError if there is only one class: each pixel would be of it."""
    if len(classes) == 1:
        raise InputError(
            f"there is one class ({classes[0]}), so there is nothing to learn: add a class for the "
            f'rest, classes=["background", "{classes[0]}"], and if label maps mark only the class, '
            'say by which values: label_map={"0": 0, "255": 1}'
        )


def absence_message(
    where: str, names: Sequence[str], missing: Iterable[int], values: Iterable[int]
) -> str:
    """Describe in a line which classes do not occur, and which values do.

    Args:
        where: label maps that do not contain the classes.
        names: names of all classes; may be empty strings.
        missing: the missing classes.
        values: the values found.
    """
    classes = [f"{i} ({names[i]})" if names[i] else str(i) for i in missing]
    if len(classes) > SHOWN:
        classes[SHOWN:] = [f"{len(classes) - SHOWN} more"]
    found = ", ".join(map(str, sorted(values)))
    text = f"{where} shows class {', '.join(classes)}; the values found are {found}"
    if IGNORE_INDEX in values:
        text += f": {IGNORE_INDEX} means no class; write the index of the class where it was drawn"
    return text


def absent_from(names: Sequence[str], values: Collection[int]) -> list[int]:
    """List the classes that are not among the values."""
    return [index for index in range(len(names)) if index not in values]


def is_too_few(names: Sequence[str], values: Collection[int]) -> bool:
    """Tell whether fewer than two classes occur."""
    return len(names) - len(absent_from(names, values)) < 2


def _sampled_values(dataset: BaseSegDataset, most: int, most_of_one: int) -> tuple[set[int], int]:
    """Collect the values of label maps spread over the data set, and count the maps read.

    Stop when all classes have occurred, after ``most`` label maps if two have, or after
    ``most_of_one``.
    """
    names = dataset.metainfo["classes"]
    wanted = {i for i, name in enumerate(names) if name not in dataset.absent_classes}
    values: set[int] = set()
    # In random order, since neighbours in a video look alike; the same in each process of a run.
    order = np.random.default_rng(0).permutation(len(dataset))[:most_of_one]
    for number, index in enumerate(order):
        if wanted <= values or (number >= most and not is_too_few(names, values)):
            return values, number
        label = read_label_map(dataset.get_data_info(int(index)))
        values.update(np.flatnonzero(count_values(label)).tolist())
    return values, len(order)
