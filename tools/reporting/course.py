"""Describe the course of training: curves, and where the time goes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tools.analysis.logs import Curve, choose_keys

from .runs import Run

MOST_POINTS = 500  # of a curve


def charts_of(
    runs: Sequence[Run], labels: Sequence[str], colors: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the charts for the page: of one run the curves of a quantity share a chart.

    Of several runs each curve has a chart with a line for each run.

    Args:
        runs: the runs.
        labels: their names.
        colors: number of the colour of each run.
    """
    if not any(run.curves for run in runs):
        return []
    panels = choose_keys([run.curves for run in runs])
    if len(runs) == 1:
        curves = runs[0].curves
        return [
            {
                "title": title,
                "own": True,
                "series": [_series(curves[name], name, i) for i, name in enumerate(names)],
            }
            for title, names in panels.items()
        ]
    return [
        {
            "title": name if title in (name, "mIoU [%]") else f"{title}: {name}",
            "own": False,
            "series": [
                _series(run.curves[name], label, color)
                for run, label, color in zip(runs, labels, colors, strict=True)
                if name in run.curves
            ],
        }
        for title, names in panels.items()
        for name in names
    ]


def _series(curve: Curve, label: str, color: int) -> dict[str, Any]:
    count = len(curve.steps)
    places = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))
    values = [float(f"{value:.5g}") for value in curve.values[places]]
    return {
        "label": label,
        "color": color,
        "x": curve.steps[places].tolist(),
        "y": [value if math.isfinite(value) else None for value in values],
    }


def phase_rows(phases: dict[str, float]) -> list[tuple[str, float, float]]:
    """Return name, seconds and percentage of the step, slowest first."""
    whole = phases["whole"] or 1.0
    rows = [(n, seconds, 100 * seconds / whole) for n, seconds in phases.items() if n != "whole"]
    return [("whole step", phases["whole"], 100.0), *sorted(rows, key=lambda row: -row[1])]


def speed_of(run: Run) -> dict[str, Any]:
    """Return seconds of an iteration, percentage of waiting for data, duration and memory."""
    curves = run.curves
    seconds, waiting, duration, memory = None, None, "-", "-"
    if "time" in curves:
        seconds = float(np.median(curves["time"].values))
        duration = _duration(seconds * run.iteration)
        if "data_time" in curves and seconds:
            waiting = 100 * float(np.median(curves["data_time"].values)) / seconds
    if "memory" in curves:
        memory = f"{curves['memory'].values.max() / 1024:.1f} GB"
    return {"seconds": seconds, "waiting": waiting, "duration": duration, "memory": memory}


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
