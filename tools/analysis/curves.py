"""From the logs of runs to a chart."""

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
    """Draw what runs have logged over their iterations.

    Of one run, curves of a kind share a panel. Of several, each curve has a panel of its own, with
    one line for each run.

    Args:
        paths: work dirs of runs, or folders of such.
        out: the chart: ``.png``, ``.pdf`` or ``.svg``.
        keys: names of curves; see :func:`~tools.analysis.logs.choose_keys`.
        group: average runs that differ in their seed alone.
        smoothing: see :func:`~tools.analysis.logs.smooth`; the curves as they are stay visible.
        labels: for the runs, or groups, in their order; by default made of their names.
        title: above the chart; by default the name of a single run.

    Returns:
        Label -> the runs that it stands for.

    Raises:
        InputError: if no logs, unknown keys, a chart that cannot be written, labels that do not
            fit.
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
        raise InputError(f"--labels: {len(members)} different ones are needed, got {labels}")
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
