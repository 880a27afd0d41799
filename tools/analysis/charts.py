"""Draw charts by matplotlib, which is imported when one is drawn."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmseg.utils import InputError, atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType

SUFFIXES = (".png", ".pdf", ".svg")
PANEL_SIZE = (6.2, 3.7)  # inches
DPI = 130
# Largest number of points of curves with markers, which make a single point visible.
MARKED_POINTS = 25
# Number of nearest points by which the density of a class is measured.
NEIGHBOURS = 20


@dataclass(frozen=True)
class Line:
    """Curve of a chart.

    Attributes:
        label: label in the legend.
        x: (N,) iterations.
        y: (N,) values.
        faint: (N,) values of a pale curve behind it, for instance before smoothing.
        spread: (N,) half the height of a band around it.
        color: index of its colour.
    """

    label: str
    x: NDArray
    y: NDArray
    faint: NDArray | None = None
    spread: NDArray | None = None
    color: int = 0


@dataclass(frozen=True)
class Panel:
    """Curves that share their axes; ``title`` names the values."""

    title: str
    lines: list[Line] = field(default_factory=list)


def check_chart_name(path: str | os.PathLike) -> None:
    """Raise InputError unless ``path`` has the suffix of a chart."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path} is not a valid name for a chart: it must end with {', '.join(SUFFIXES)}"
        )


def draw_curves(
    path: str | os.PathLike, panels: Sequence[Panel], title: str = "", shared_legend: bool = False
) -> None:
    """Draw panels of curves in two columns.

    Args:
        path: path of the file.
        panels: at least one panel.
        title: title of the chart.
        shared_legend: whether all panels have lines of the same labels and colours, so that one
            legend below is enough; otherwise each panel has one.
    """
    from matplotlib.figure import Figure

    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure((columns * PANEL_SIZE[0], rows * PANEL_SIZE[1]), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis, panel in zip(axes, panels, strict=False):
        _draw_panel(axis, panel)
        if not shared_legend and (len(panel.lines) > 1 or panel.lines[0].label not in panel.title):
            # Above the axes, where it hides no curve.
            axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    if shared_legend:
        handles = {
            label: handle
            for axis in axes[: len(panels)]
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        longest = max(map(len, handles))
        fitting = max(1, int(columns * PANEL_SIZE[0] * 11) // (longest + 6))
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=fitting)
    if title:
        figure.suptitle(title, wrap=True, fontsize="medium")
    save_figure(path, figure)


def _draw_panel(axis: "Axes", panel: Panel) -> None:
    colors = _colors()
    for line in panel.lines:
        color = colors[line.color % len(colors)]
        style = ("-", "--", ":", "-.")[line.color // len(colors) % 4]
        marker = "o" if len(line.x) <= MARKED_POINTS else None
        if line.faint is not None:
            axis.plot(line.x, line.faint, color=color, alpha=0.25, linewidth=1)
        if line.spread is not None:
            low, high = line.y - line.spread, line.y + line.spread
            axis.fill_between(line.x, low, high, color=color, alpha=0.2, linewidth=0)
        axis.plot(
            line.x,
            line.y,
            color=color,
            linestyle=style,
            marker=marker,
            markersize=3.5,
            linewidth=1.5,
            label=line.label,
        )
    axis.set_xlabel("iteration")
    axis.tick_params(labelbottom=True)
    axis.set_ylabel(panel.title)
    axis.grid(alpha=0.3)
    axis.margins(x=0.02)


def draw_bars(
    path: str | os.PathLike, series: Mapping[str, Mapping[str, float | None]], value: str
) -> None:
    """Draw a bar chart with a group of bars for each name and a colour for each series.

    Args:
        path: path of the file.
        series: label -> name -> height; None: no bar. All have the same names.
        value: name of the plotted values.
    """
    from matplotlib.figure import Figure

    names = list(next(iter(series.values())))
    figure = Figure((max(4.5, 0.55 * len(names) + 1.5), 4.2), layout="constrained")
    axis = figure.subplots()
    width = 0.8 / len(series)
    for i, (label, heights) in enumerate(series.items()):
        left = [j + (i + 0.5) * width - 0.4 for j in range(len(names))]
        bars = [heights[name] or 0.0 for name in names]
        axis.bar(left, bars, width, label=label)
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axis.set_ylabel(value)
    axis.margins(x=0.02)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(series), frameon=False)
    save_figure(path, figure)


def draw_clouds(
    path: str | os.PathLike,
    points: NDArray[np.floating],
    label: NDArray[np.integer],
    domain: Sequence[str],
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
) -> None:
    """Draw points in the plane twice: coloured by class, and by domain.

    Args:
        path: path of the file.
        points: (N, 2).
        label: (N,) class of each point.
        domain: name of the domain of each point.
        class_names: C names; the legend contains those that occur.
        palette: C (red, green, blue), 0 to 255.
    """
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    figure = Figure((13, 7.2), layout="constrained")
    by_class, by_domain = figure.subplots(1, 2)
    for index in np.unique(label):
        own = points[label == index]
        color = np.array(palette[index]) / 255
        by_class.scatter(*own.T, s=6, color=color, linewidths=0, label=class_names[index])
        outline = [withStroke(linewidth=2, foreground="white")]
        centred = {"ha": "center", "va": "center", "fontsize": 8}
        by_class.annotate(class_names[index], _densest(own), path_effects=outline, **centred)
    domains = np.array(domain)
    # Draw in random order, so that no domain hides the other.
    order = np.random.default_rng(0).permutation(len(points))
    names = list(dict.fromkeys(domain))
    colors = np.array([_colors()[names.index(name)] for name in domain])
    by_domain.scatter(*points[order].T, s=6, color=colors[order], linewidths=0)
    for name in names:
        by_domain.scatter([], [], color=colors[domains == name][0], label=name)
    by_class.set_title("by class")
    by_domain.set_title("by domain")
    for axis, columns in ((by_class, 6), (by_domain, len(names))):
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_aspect("equal", adjustable="datalim")
        axis.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            ncols=columns,
            frameon=False,
            fontsize="small",
            markerscale=2.5 if axis is by_class else 1,
        )
    save_figure(path, figure)


def _densest(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Find the point (2,) of (N, 2) in the densest place, where the name of a class is drawn."""
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    return points[np.sort(distance, axis=1)[:, :NEIGHBOURS].sum(1).argmin()]


def _colors() -> Sequence["ColorType"]:
    from matplotlib import color_sequences

    return color_sequences["tab10"]


def save_figure(path: str | os.PathLike, figure: "Figure") -> None:
    """Write a figure atomically, in the format of its suffix."""
    check_chart_name(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
