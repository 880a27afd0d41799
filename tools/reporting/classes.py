"""Tables of the classes: their IoU, its course during training, and confusions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .overview import Overview
from .runs import Result
from .scores import class_names, difference, iou_of, mean_and_std

MOST_STEPS = 10  # columns of the course of a run
MOST_LOST = 12  # confusions that are listed

Cell = tuple[float | None, float | None]  # mean and standard deviation


def class_table(overview: Overview, colors: Sequence[str]) -> dict[str, Any]:
    """Return the IoU of each class and their mean, a column for each run or group of seeds.

    Classes that the ground truth of all scores lacks are only counted, as ``absent``.

    Args:
        overview: the runs.
        colors: colours of the classes; empty if they are unknown.
    """
    columns = overview.columns()
    pair = _compared(overview, columns)

    def cells(value_of: Callable[[int], float | None]) -> list[Cell]:
        found = (mean_and_std([value_of(i) for i in own]) for own in columns.values())
        return [each or (None, None) for each in found]

    def gain(row: Sequence[Cell]) -> float | None:
        return difference(row[pair[1]][0], row[pair[0]][0]) if pair else None

    rows = []
    names = class_names(overview.finals)
    for place, name in enumerate(names):
        if not _is_compared(overview, name):
            continue
        own = cells(lambda i, name=name: iou_of(overview.finals[i], name))
        color = colors[place] if colors else ""
        rows.append({"name": name, "color": color, "cells": own, "difference": gain(own)})
    means = cells(overview.score)
    return {
        "columns": list(columns),
        "compared": pair is not None,
        "rows": rows,
        "absent": len(names) - len(rows),
        "means": means,
        "difference": gain(means),
    }


def _is_compared(overview: Overview, name: str) -> bool:
    """Tell whether a class counts in the mean: in mIoU_gt, if a ground truth has pixels of it."""
    if overview.metric == "mIoU":
        return True
    results = [final.result.get("per_class", {}) for final in overview.finals if final]
    return any(result.get(name, {}).get("Acc") is not None for result in results)


def _compared(overview: Overview, columns: dict[str, list[int]]) -> tuple[int, int] | None:
    """Return the columns of source only and of the adapted runs, if there is one of each."""
    pairs = {
        (a, b)
        for b, own in enumerate(columns.values())
        for a, bases in enumerate(columns.values())
        if any(overview.baselines[i] in bases for i in own)
    }
    return pairs.pop() if len(pairs) == 1 else None


def courses(overview: Overview) -> list[dict[str, Any]]:
    """Return the IoU of each class at some validations, of each run that had several."""
    found = []
    for run, label in zip(overview.runs, overview.labels, strict=True):
        count = len(run.validations)
        if count < 2:
            continue
        places = sorted({round(place) for place in np.linspace(0, count - 1, MOST_STEPS)})
        rows = [run.validations[place] for place in places]
        results = [row["results"]["student"]["per_class"] for row in rows]
        names = [name for name in results[-1] if _is_compared(overview, name)]
        found.append(
            {
                "label": label,
                "steps": [row["step"] for row in rows],
                "rows": [(n, [each.get(n, {}).get("IoU") for each in results]) for n in names],
            }
        )
    return found


def confusions(overview: Overview) -> list[dict[str, Any]]:
    """Return the confusion matrix of each run: of its last scores or, without one, of a test."""
    found = []
    for run, label, final in zip(overview.runs, overview.labels, overview.finals, strict=True):
        results = [*([final.result] if final else []), *reversed(run.tests)]
        stored = next((result for result in results if result.get("confusion")), None)
        if stored:
            found.append({"label": label} | _shares(stored))
    return found


def _shares(result: Result) -> dict[str, Any]:
    """Return a confusion matrix as shares of the ground truth.

    Returns:
        ``classes``: C names; ``pixels``: of each class in the ground truth; ``rows``: C rows of the
        share that is predicted as each class, in thousandths; ``lost``: the largest
        confusions as class, predicted class and percentage of all pixels.
    """
    counts = np.asarray(result["confusion"])
    pixels = counts.sum(1)
    wrong = counts - np.diag(counts.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_LOST]
    places = zip(*np.unravel_index(order, wrong.shape), strict=True)
    percent = 100 / max(1, pixels.sum())
    shares = np.rint(1000 * counts / np.maximum(pixels, 1)[:, None]).astype(int)
    return {
        "classes": list(result["per_class"]),
        "pixels": pixels.tolist(),
        "rows": shares.tolist(),
        "lost": [[int(i), int(j), wrong[i, j] * percent] for i, j in places if wrong[i, j]],
    }
