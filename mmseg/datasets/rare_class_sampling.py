"""Rare class sampling (Hoyer et al., DAFormer, CVPR 2022): draw a class, then an image of it.

The statistics are files in the data root, written by ``tools/convert_datasets`` or, for data sets
that need no converter, by ``tools/class_stats.py``:
``sample_class_stats.json`` (a list of ``{class: pixels, ..., "file": path}``) and
``samples_with_class.json`` (``{class: [[path, pixels], ...]}``). A path may be relative to the data
root or to any folder above it, as in files of the authors' release: only its end counts.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat

from mmseg.utils import InputError
from mmseg.utils.logs import warn_user

from .basesegdataset import BaseSegDataset
from .occurring_classes import check_occurring

STATS_FILE = "sample_class_stats.json"
SAMPLES_FILE = "samples_with_class.json"


@dataclass(frozen=True)
class RareClassSampling:
    """Settings of rare class sampling.

    Args:
        min_pixels: images with more pixels of a class are candidates for it.
        class_temp: temperature T; at lower ones rare classes are drawn more often.
        min_crop_ratio: multiple of ``min_pixels`` that a crop must exceed, else it is drawn again;
            0 accepts every crop.
    """

    min_pixels: NonNegativeInt = 3000
    class_temp: PositiveFloat = 0.01
    min_crop_ratio: NonNegativeFloat = 0.5


def class_frequencies(pixels_per_sample: Iterable[Mapping[str, int]]) -> dict[int, float]:
    """Compute the share f_c of the pixels of each class that occurs, rarest first.

    Args:
        pixels_per_sample: entries of ``sample_class_stats.json``.
    """
    pixels: dict[int, int] = {}
    for sample in pixels_per_sample:
        for label, count in sample.items():
            if label != "file":
                pixels[int(label)] = pixels.get(int(label), 0) + count
    total = sum(pixels.values())
    return {c: n / total for c, n in sorted(pixels.items(), key=lambda item: item[1])}


def class_probabilities(frequencies: np.ndarray, temperature: float) -> np.ndarray:
    """Compute P(c) = softmax((1 - f_c) / T) over the present classes, (C,)."""
    logits = (1 - np.asarray(frequencies, dtype=np.float64)) / temperature
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@dataclass(frozen=True)
class RareClassTable:
    """Classes with their probabilities, and the samples to draw for each.

    Args:
        classes: (C,) class labels, rarest first.
        probabilities: (C,), summing to 1.
        samples: for each class the indices of the images with enough pixels of it.
    """

    classes: np.ndarray
    probabilities: np.ndarray
    samples: list[np.ndarray] = field(repr=False)

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """Draw a class, then an image of it: (class, index into the data set)."""
        row = rng.choice(len(self.classes), p=self.probabilities)
        return int(self.classes[row]), int(rng.choice(self.samples[row]))


def rare_class_table(
    source: BaseSegDataset, settings: RareClassSampling, usable: np.ndarray | None = None
) -> RareClassTable:
    """Make the table of ``source`` from its files of statistics.

    Args:
        source: the labelled data set.
        settings: settings that say which images are candidates.
        usable: (N,) indices of the images that may be drawn; default: all.

    Raises:
        InputError: if a file of statistics is missing or unreadable, it and the data set do not
            name the same label maps, or no image has enough pixels of any class; see also
            :func:`~mmseg.datasets.occurring_classes.check_occurring`.
    """
    index_of = _label_index(source)
    stats_path = os.path.join(source.data_root, STATS_FILE)
    stats = _read_json(stats_path, source)
    samples_path = os.path.join(source.data_root, SAMPLES_FILE)
    try:
        found = [_index_in(index_of, sample["file"]) for sample in stats]
        _check_same_files(source, stats_path, stats, found, len(index_of))
        frequencies = class_frequencies(
            sample for sample, index in zip(stats, found, strict=True) if index is not None
        )
        del stats
        candidates = _candidates(
            source, index_of, _read_json(samples_path, source), settings.min_pixels
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{stats_path} or {samples_path} does not hold what the converter writes"
            f"{source.statistics_advice()}"
        ) from error
    if usable is not None:
        candidates = {c: indices[np.isin(indices, usable)] for c, indices in candidates.items()}
    return _make_table(source, frequencies, candidates, settings)


def _make_table(
    source: BaseSegDataset,
    frequencies: dict[int, float],
    candidates: dict[int, np.ndarray],
    settings: RareClassSampling,
) -> RareClassTable:
    classes = np.array(list(frequencies), dtype=np.int64)
    if classes.size and not 0 <= classes.min() <= classes.max() < source.num_classes:
        raise InputError(
            f"{STATS_FILE} of {source.data_root} counts class {classes.max()}, but the data set "
            f"has {source.num_classes} classes{source.statistics_advice()}"
        )
    if warning := check_occurring(source, [c for c, f in frequencies.items() if f > 0]):
        warn_user(warning)
    probabilities = class_probabilities(np.array(list(frequencies.values())), settings.class_temp)
    usable = np.array([candidates.get(c, np.empty(0)).size > 0 for c in frequencies], dtype=bool)
    if not usable.any():
        raise InputError(
            f"no image of {source.data_root} has more than {settings.min_pixels} pixels of any "
            "class: lower min_pixels of rare_class_sampling"
        )
    if not usable.all():
        warn_user(
            f"classes {classes[~usable].tolist()} have no image with more than "
            f"{settings.min_pixels} pixels and are never drawn by rare class sampling"
        )
    kept = probabilities[usable]
    return RareClassTable(
        classes=classes[usable],
        probabilities=kept / kept.sum(),
        samples=[candidates[int(c)] for c in classes[usable]],
    )


def _candidates(
    source: BaseSegDataset,
    index_of: dict[str, int],
    samples_with_class: dict[str, list],
    min_pixels: int,
) -> dict[int, np.ndarray]:
    """Find the indices (int32, to save memory) of the candidates for each class."""
    candidates = {}
    for label, files in samples_with_class.items():
        indices = [_index_in(index_of, file) for file, pixels in files if pixels > min_pixels]
        if None in indices and not source.is_subset:
            raise InputError(
                f"{SAMPLES_FILE} of {source.data_root} names label maps that are not in the data "
                f"set{source.statistics_advice()}"
            )
        candidates[int(label)] = np.array([i for i in indices if i is not None], dtype=np.int32)
    return candidates


def _check_same_files(
    source: BaseSegDataset, path: str, stats: Any, found: Sequence[int | None], total: int
) -> None:
    """Check that statistics cover the data set, and nothing else unless it is a subset."""
    strange = [s["file"] for s, index in zip(stats, found, strict=True) if index is None]
    if strange and not source.is_subset:
        raise InputError(
            f"{path} names {len(strange)} label maps that are not in the data set, for instance "
            f"{strange[0]}{source.statistics_advice()}"
        )
    uncounted = set(range(total)).difference(found)
    if uncounted:
        example = source.get_data_info(min(uncounted))["seg_map_path"]
        raise InputError(
            f"{path} lacks {len(uncounted)} label maps of the data set, for instance "
            f"{example}{source.statistics_advice()}"
        )


def _label_index(source: BaseSegDataset) -> dict[str, int]:
    """Map the path of each label map below its folder to its index in the data set."""
    folder = source.data_prefix.get("seg_map_path")
    if folder is None:
        raise InputError('rare class sampling needs labels: set data_prefix["seg_map_path"]')
    paths = (source.get_data_info(i)["seg_map_path"] for i in range(len(source)))
    return {path.removeprefix(folder).lstrip("/"): i for i, path in enumerate(paths)}


def _index_in(index_of: Mapping[str, int], path: str) -> int | None:
    """Look up the longest end of ``path`` that is a known label map."""
    while path not in index_of:
        _, slash, path = path.partition("/")
        if not slash:
            return None
    return index_of[path]


def _read_json(path: str, source: BaseSegDataset) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError as error:
        raise InputError(
            f"{path} is missing, which rare class sampling needs{source.statistics_advice()}"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read{source.statistics_advice()}") from error
