"""Which classes the label maps show: one that none shows cannot be learnt."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from mmseg.utils import InputError

from .basesegdataset import BaseSegDataset
from .class_names import IGNORE_INDEX
from .image_files import count_values, read_label

# Without statistics, so many label maps are read at most if they show two classes ...
SAMPLE = 100
# ... and so many if not: most images of some data sets (of faults, of fires) show one class.
LARGE_SAMPLE = 1000
# With statistics, which leave out 255, so many are read to tell the values found.
EXAMPLES = 10
# In a message, so many classes are named.
SHOWN = 8


def check_occurring(dataset: BaseSegDataset, counted: Collection[int] | None = None) -> str | None:
    """Look for classes that no label map shows.

    Args:
        dataset: reads labels.
        counted: values that occur in all its label maps; None to read a sample of them until every
            class has been seen.

    Returns:
        A warning of such classes that may be meant so; None if there are none.

    Raises:
        InputError: if fewer than two classes occur, or a class does not of which the user says that
            it does (:class:`~mmseg.datasets.FolderDataset`).
    """
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
    text = absence(f"{maps} of {dataset.data_root}", names, missing, values)
    if dataset.NEEDS_ALL_CLASSES and number == total and not dataset.is_subset:
        raise InputError(
            f"{text}. Name a class that is absent on purpose in absent_classes of the data set"
        )
    if is_too_few(names, values):
        raise InputError(text)
    return text


def absence(where: str, names: Sequence[str], missing: Iterable[int], values: Iterable[int]) -> str:
    """Say in a line which classes do not occur, and which values do.

    Args:
        where: what does not show them.
        names: of all classes; may be empty texts.
        missing: the classes.
        values: that were found.
    """
    classes = [f"{i} ({names[i]})" if names[i] else str(i) for i in missing]
    if len(classes) > SHOWN:
        classes[SHOWN:] = [f"{len(classes) - SHOWN} more"]
    found = ", ".join(map(str, sorted(values)))
    text = f"{where} shows class {', '.join(classes)}; the values found are {found}"
    if IGNORE_INDEX in values:
        text += f": {IGNORE_INDEX} is no class, write the index of the class where it was drawn so"
    return text


def absent_from(names: Sequence[str], values: Collection[int]) -> list[int]:
    """The classes that are not among the values."""
    return [index for index in range(len(names)) if index not in values]


def is_too_few(names: Sequence[str], values: Collection[int]) -> bool:
    """Whether fewer than two classes occur, of a task of two or more."""
    return len(names) > 1 and len(names) - len(absent_from(names, values)) < 2


def _sampled_values(dataset: BaseSegDataset, most: int, most_of_one: int) -> tuple[set[int], int]:
    """Values of label maps spread over the data set, and how many were read.

    It ends when all classes have been seen, after ``most`` label maps if two have been, and after
    ``most_of_one``.
    """
    names = dataset.metainfo["classes"]
    wanted = {i for i, name in enumerate(names) if name not in dataset.absent_classes}
    values: set[int] = set()
    # Not in order, since neighbours in a film look alike; the same in each process of a run.
    order = np.random.default_rng(0).permutation(len(dataset))[:most_of_one]
    for number, index in enumerate(order):
        if wanted <= values or (number >= most and not is_too_few(names, values)):
            return values, number
        label = read_label(dataset.get_data_info(int(index))["seg_map_path"])
        values.update(np.flatnonzero(count_values(label)).tolist())
    return values, len(order)
