"""Compare the scores of runs: final scores, means over seeds, classes and confusions."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from .runs import Result, Run


@dataclass(frozen=True)
class Final:
    """Last scores of a run.

    Attributes:
        result: result of :func:`mmseg.evaluation.result_dict`; of runs that stored only means, only
            its ``summary``.
        iteration: iteration of the scores.
        data: data set that they are of; scores of different data are not compared.
    """

    result: Result
    iteration: int
    data: str


def finals_of(runs: Sequence[Run]) -> list[Final | None]:
    """Find the last scores of each run, on the same data if they have been scored on the same.

    A comparison or ``tools.test`` of the last checkpoint on the config's own data is preferred to
    the last validation, which may use fewer images.
    """
    found = [_scores_of(run) for run in runs]
    starts = starts_of(runs)
    counts = Counter(data for i, own in enumerate(found) if i not in starts for data in own)
    common = counts.most_common(1)[0][0] if counts else ""
    return [own.get(common) or next(iter(own.values()), None) for own in found]


def _scores_of(run: Run) -> dict[str, Final]:
    """Return all last scores of a run by the data that they are of, preferred ones first."""
    sets = [(run.config.get(f"{name}_dataloader") or {}).get("dataset") for name in ("test", "val")]
    own = {(each.get("type"), each.get("data_root")) for each in filter(None, sets)}
    tests = [test for test in run.tests if test["model"] == "student" and not test["aug_test"]]
    last = [
        test
        for test in tests
        if (test["dataset"], test["data_root"]) in own and _iteration_of(test) == run.iteration
    ]
    validated = _data(sets[1] or {})
    finals = [_of_test(test) for test in last]
    if run.validations:
        row = run.validations[-1]
        finals.append(Final(row["results"]["student"], row["step"], validated))
    elif curve := run.curves.get("mIoU"):
        summary = {
            name: float(run.curves[name].values[-1])
            for name in ("mIoU", "aAcc", "mAcc")
            if name in run.curves
        }
        finals.append(Final({"summary": summary}, int(curve.steps[-1]), validated))
    if not finals and tests:
        finals.append(_of_test(max(tests, key=_iteration_of)))
    return {final.data: final for final in finals}


def _of_test(test: Result) -> Final:
    data = f"{test['dataset'].removesuffix('Dataset')} in {test['data_root'].rstrip('/')}"
    return Final(test, _iteration_of(test), f"{data}, {test['images']} images")


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


def starts_of(runs: Sequence[Run]) -> set[int]:
    """Find the runs that others start from."""
    weights = {Path(str(run.config.get("load_from"))).resolve().parent for run in runs}
    return {i for i, run in enumerate(runs) if run.folder.resolve() in weights}


def baselines_of(
    runs: Sequence[Run], methods: Sequence[str], finals: Sequence[Final | None]
) -> list[int | None]:
    """Find for each adapted run the source-only run to compare it with.

    This is one that was evaluated on the same data, preferably one that started from the same
    weights and with the same seed. A run that others start from is none.
    """
    starts = starts_of(runs)
    candidates = [i for i, m in enumerate(methods) if m == "source only" and i not in starts]

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
