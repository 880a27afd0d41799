"""Write the three files of class statistics, for the converters or for any labelled data."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.datasets.class_names import IGNORE_INDEX
from mmseg.datasets.label_coding import LabelCoding
from mmseg.datasets.listing import list_files
from mmseg.datasets.rare_class_sampling import SAMPLES_FILE, STATS_FILE, class_frequencies
from mmseg.registry import DATASETS
from mmseg.utils import InputError, atomic_path, built_from_config

from .label_files import (
    ConversionReport,
    Converted,
    convert_all,
    counted,
    existing_folder,
    failed,
    read_classes,
    report_of,
)

STATS_DICT_FILE = "sample_class_stats_dict.json"


@dataclass(frozen=True)
class ClassStatistics:
    """Numbers of pixels of classes.

    Args:
        report: result of the label maps. If some failed, no statistics are written.
        frequencies: share of the pixels of each class that occurs, rarest first.
        values: number of pixels of each class that occurs and of 255, in ascending order.
        root: the data root.
        results: numbers of pixels in each label map.
    """

    report: ConversionReport
    frequencies: dict[int, float]
    values: dict[int, int]
    root: Path
    results: Sequence[Converted]

    def write(self) -> None:
        """Write the three files to the data root, unless label maps have failed."""
        if not self.report.problems:
            _write_statistics(self.root, self.results)

    def contradicts(self, path: Path) -> bool:
        """Tell whether a file of statistics (``STATS_FILE``) is there and says something else."""
        if not path.exists():
            return False
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return True
        return stored != json.loads(json.dumps(_statistics(self.results)))


def count_folder(
    data_root: str | Path,
    labels: str,
    suffix: str,
    num_classes: int,
    nproc: int = 1,
    coding: LabelCoding | None = None,
) -> ClassStatistics:
    """Count the label maps ``<labels>/**/*<suffix>``, and write statistics to the data root.

    Raises:
        InputError: if there are no label maps, or the files cannot be written.
    """
    check_root_writable(data_root)
    root = existing_folder(data_root, labels)
    names = list_files(root / labels, suffix)
    if not names:
        raise InputError(f"no label maps (*{suffix}) below {root / labels}: check the suffix")
    pairs = [(f"{labels.rstrip('/')}/{name}", None) for name in names]
    found = _count(root, pairs, num_classes, nproc, coding)
    found.write()
    return found


def count_dataset(dataset: BaseSegDataset, nproc: int = 1) -> ClassStatistics:
    """Count the label maps of a data set, and write statistics to its data root.

    A label map whose size differs from its image's gets no pixels.

    Raises:
        InputError: if it has no labels or no data root, or the files cannot be written.
    """
    if dataset.data_root:
        check_root_writable(dataset.data_root)
    found = counted_dataset(dataset, nproc)
    found.write()
    return found


def counted_dataset(dataset: BaseSegDataset, nproc: int = 1) -> ClassStatistics:
    """Count the label maps of a data set as :func:`count_dataset` does, and write nothing."""
    name = type(dataset).__name__
    if not dataset.data_root:
        raise InputError(f"the {name} has no data_root, where the statistics belong: set it")
    if "seg_map_path" not in dataset.data_prefix:
        raise InputError(f'the {name} reads no labels: set data_prefix["seg_map_path"]')
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    pairs = [
        (os.path.relpath(info["seg_map_path"], dataset.data_root), Path(info["img_path"]))
        for info in infos
    ]
    coding = dataset.label_coding
    return _count(Path(dataset.data_root), pairs, dataset.num_classes, nproc, coding)


def check_root_writable(root: str | Path) -> None:
    """Check that statistics can be written to a data root, if it exists.

    Raises:
        InputError: if they cannot.
    """
    if os.path.isdir(root) and not os.access(root, os.W_OK):
        raise InputError(
            f"cannot write to {root}, where the statistics belong: make it writable, or a folder "
            "of links to what is in it"
        )


def train_source(cfg: Config) -> BaseSegDataset:
    """Build the whole labelled data set that a config trains on, without its transforms.

    Raises:
        InputError: if the config has no such data set.
    """
    dataset = (cfg.get("train_dataloader") or {}).get("dataset") or {}
    dataset = dataset.get("source", dataset)
    if "type" not in dataset:
        raise InputError("the config has no train_dataloader.dataset to count the classes of")
    with built_from_config("train_dataloader.dataset"):
        return DATASETS.build({**dataset, "pipeline": [], "indices": None})


def report_and_statistics(
    root: Path, results: Sequence[Converted], below: str = ""
) -> ConversionReport:
    """Summarise the results; if all label files are valid, write statistics to the data root.

    Args:
        root: the data root.
        results: results of all label files.
        below: prefix of the paths of the label maps to use for the statistics.
    """
    report = report_of(results)
    if not report.problems:
        _write_statistics(root, [r for r in results if r.path.startswith(below)])
    return report


def class_weights(frequencies: Sequence[float] | np.ndarray, std: float) -> np.ndarray:
    """Compute class weights (C,) float64 of mean 1 that favour rare classes.

    With l = log f, a weight is (mean(l) - l) / std(l) * ``std`` + 1, where std(l) is the sample
    standard deviation. If all classes are equally frequent, all weights are 1.

    Args:
        frequencies: (C,) share f of the pixels of each class, above 0.
        std: standard deviation of the weights.

    Raises:
        ValueError: if a class has no pixels.
    """
    shares = np.asarray(frequencies, dtype=np.float64)
    if shares.min() <= 0:
        raise ValueError("a class without pixels has no weight")
    if shares.min() == shares.max():
        return np.ones_like(shares)
    logs = np.log(shares)
    return (logs.mean() - logs) / logs.std(ddof=1) * std + 1


def _write_statistics(root: Path, results: Sequence[Converted]) -> None:
    samples: dict[int, list[tuple[str, int]]] = {}
    for result in results:
        for label, pixels in result.pixels.items():
            samples.setdefault(label, []).append((result.path, pixels))
    _write_json(root / STATS_FILE, _statistics(results))
    _write_json(root / STATS_DICT_FILE, {r.path: r.pixels for r in results})
    _write_json(root / SAMPLES_FILE, samples)


def _statistics(results: Sequence[Converted]) -> list[dict]:
    return [{**result.pixels, "file": result.path} for result in results]


def _count(
    root: Path,
    pairs: Sequence[tuple[str, Path | None]],
    num_classes: int,
    nproc: int,
    coding: LabelCoding | None,
) -> ClassStatistics:
    if not 0 < num_classes <= IGNORE_INDEX:
        raise InputError(f"there can be 1 to {IGNORE_INDEX} classes, not {num_classes}")
    results = convert_all(partial(_count_file, root, num_classes, coding), pairs, nproc)
    values = np.zeros(256, np.int64)
    for result in results:
        for value, pixels in result.values.items():
            values[value] += pixels
    return ClassStatistics(
        report_of(results),
        class_frequencies(result.pixels for result in results),
        {int(value): int(values[value]) for value in np.flatnonzero(values)},
        root,
        results,
    )


def _count_file(
    root: Path, num_classes: int, coding: LabelCoding | None, pair: tuple[str, Path | None]
) -> Converted:
    """Count one label map, given relative to ``root``; report a damaged file in the result."""
    path, image = pair
    try:
        return counted(path, read_classes(str(root / path), num_classes, coding), image)
    except InputError as error:
        return failed(path, error)


def _write_json(path: Path, content: list | dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
