"""Compare the scores of runs: final scores, means over seeds, classes and confusions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from .runs import Result, Run


@dataclass(frozen=True)
class Final:
    """Last scores of a run.

    Attributes:
        result: result of :func:`mmseg.evaluation.result_dict`; of runs that stored only means, only
            its ``summary``.
        teacher: result of the teacher, if it was evaluated.
        iteration: iteration of the scores.
        data: data set that they are of; scores of different data are not compared.
    """

    result: Result
    teacher: Result | None
    iteration: int
    data: str

    @property
    def miou(self) -> float | None:
        """The mIoU in percent."""
        return self.result["summary"].get("mIoU")


def final_of(run: Run) -> Final | None:
    """Find the scores of the last validation or, without any, of a test of the last checkpoint."""
    validated = _data((run.config.get("val_dataloader") or {}).get("dataset") or {})
    if run.validations:
        last = run.validations[-1]
        results = last["results"]
        return Final(results["student"], results.get("teacher"), last["step"], validated)
    names = {name: curve for name, curve in run.curves.items() if name in ("mIoU", "aAcc", "mAcc")}
    if "mIoU" in names:
        summary = {name: float(curve.values[-1]) for name, curve in names.items()}
        return Final({"summary": summary}, None, int(names["mIoU"].steps[-1]), validated)
    tests = [test for test in run.tests if "summary" in test and test["model"] == "student"]
    if not tests:
        return None
    last = max(tests, key=lambda test: (_iteration_of(test), not test["aug_test"]))
    data = f"{last['dataset'].removesuffix('Dataset')} in {last['data_root'].rstrip('/')}"
    return Final(last, None, _iteration_of(last), f"{data}, {last['images']} images")


def _iteration_of(test: Result) -> int:
    found = re.search(r"iter_(\d+)", test["checkpoint"])
    return int(found[1]) if found else 0


def _data(dataset: dict[str, Any]) -> str:
    name = str(dataset.get("type")).removesuffix("Dataset")
    count = dataset.get("indices")
    some = f", {count} images" if isinstance(count, int) else ""
    return f"{name} in {str(dataset.get('data_root')).rstrip('/')}{some}"


def best_of(run: Run) -> tuple[float, int] | None:
    """Find the highest mIoU of a run's validations, and its iteration."""
    curve = run.curves.get("mIoU")
    if curve is None:
        return None
    place = int(curve.values.argmax())
    return float(curve.values[place]), int(curve.steps[place])


def baselines_of(
    runs: Sequence[Run], methods: Sequence[str], finals: Sequence[Final | None]
) -> list[int | None]:
    """Find for each adapted run the source-only run to compare it with.

    This is one that was evaluated on the same data, preferably one that started from the same
    weights and with the same seed. A run that others start from is none.
    """
    starts = {str(run.config.get("load_from")) for run in runs}
    candidates = [
        i
        for i, (run, method) in enumerate(zip(runs, methods, strict=True))
        if method == "source only"
        and not any(f"/{run.folder.resolve().name}/" in f"/{start}" for start in starts)
    ]

    def baseline(i: int) -> int | None:
        own = finals[i]
        same_data = [
            j for j in candidates if own and (other := finals[j]) and other.data == own.data
        ]
        if methods[i] == "source only" or not same_data:
            return None
        start, seed = runs[i].config.get("load_from"), runs[i].seed
        return max(
            same_data,
            key=lambda j: (runs[j].config.get("load_from") == start, runs[j].seed == seed),
        )

    return [baseline(i) for i in range(len(runs))]


def difference(value: float | None, other: float | None) -> float | None:
    """Subtract; None if one of them is unknown."""
    return None if value is None or other is None else value - other


def mean_and_std(values: Sequence[float | None]) -> tuple[float, float | None] | None:
    """Compute mean and sample standard deviation of the known values; None if there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return fmean(known), stdev(known) if len(known) > 1 else None


def class_names(finals: Sequence[Final | None]) -> list[str]:
    """Return the names of the classes of all results, in order."""
    results = [final.result for final in finals if final]
    return list(dict.fromkeys(name for r in results for name in r.get("per_class", ())))


def iou_of(final: Final | None, name: str) -> float | None:
    """Return the IoU of a class in percent, if it is known."""
    return final and final.result.get("per_class", {}).get(name, {}).get("IoU")
