"""Draw charts of the logs of runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmseg.utils import InputError, check_writable
from tools.analysis.charts import Line, Panel, check_chart_name, draw_curves

from .logs import (
    NEVER_SMOOTHED,
    Curves,
    choose_keys,
    find_runs,
    groups_of_seeds,
    lines_of,
    panel_of,
    read_run,
    short_names,
    smooth,
)

LABEL_WIDTH = 60  # characters


def plot_runs(
    paths: Sequence[str],
    out: Path,
    keys: Sequence[str] = (),
    group: bool = False,
    smoothing: float = 0.0,
    labels: Sequence[str] | None = None,
    title: str | None = None,
) -> dict[str, list[Path]]:
    """Draw the logged values of runs over their iterations.

    For one run, curves of the same quantity share a panel. For several, each curve has a separate
    panel with one line per run.

    Args:
        paths: work dirs of runs, or folders of them.
        out: file of the chart: ``.png``, ``.pdf`` or ``.svg``.
        keys: names of curves; see :func:`~tools.analysis.logs.choose_keys`.
        group: whether to average runs that differ only in their seed.
        smoothing: see :func:`~tools.analysis.logs.smooth`; the original curves stay visible.
        labels: labels of the runs, or groups, in their order; default: made from their names.
        title: title of the chart; default: the name of a single run.

    Returns:
        Label -> its runs.

    Raises:
        InputError: if there are no logs, keys are unknown, the chart cannot be written, or there
            are too few or too many labels.
    """
    check_chart_name(out)
    runs = find_runs(paths)
    names = [run.resolve().name for run in runs]
    members = groups_of_seeds(names) if group else {str(i): [i] for i in range(len(runs))}
    if labels is None:
        labels = [
            label if len(label) <= LABEL_WIDTH else f"{label[: LABEL_WIDTH - 3]}..."
            for label in short_names(list(members) if group else names)
        ]
    if len(labels) != len(members) or len(set(labels)) < len(labels):
        raise InputError(f"--labels: {len(members)} different labels are needed, got {labels}")
    indices = dict(zip(labels, members.values(), strict=True))
    curves = [read_run(run) for run in runs]
    panels = choose_keys(curves, keys)
    drawn = {}
    for label, own in indices.items():
        count = f" (mean of {len(own)} seeds)" if len(own) > 1 else ""
        drawn[label + count] = [curves[i] for i in own]
    several = len(drawn) > 1
    check_writable(out.parent, "--out")
    if title is None and not several:
        title = names[0]
    if several:
        charts = [Panel(n, _lines(drawn, n, smoothing)) for own in panels.values() for n in own]
    else:
        charts = [
            Panel(kind, [_lines(drawn, n, smoothing, n, i)[0] for i, n in enumerate(own)])
            for kind, own in panels.items()
        ]
    draw_curves(out, charts, title or "", shared_legend=several)
    return {label: [runs[i] for i in own] for label, own in indices.items()}


def _lines(
    drawn: Mapping[str, Sequence[Curves]],
    name: str,
    smoothing: float,
    label: str | None = None,
    color: int | None = None,
) -> list[Line]:
    order = list(drawn)
    if panel_of(name) in NEVER_SMOOTHED:
        smoothing = 0.0
    return [
        Line(
            label or owner,
            curve.steps,
            smooth(curve.values, smoothing),
            faint=curve.values if smoothing else None,
            spread=spread,
            color=order.index(owner) if color is None else color,
        )
        for owner, (curve, spread) in lines_of(drawn, name).items()
    ]
