"""Read the logs of runs, written by mmengine's ``LocalVisBackend``, as curves."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmseg.utils import InputError

SCALARS = "vis_data/scalars.json"
# Parts of a run's name that do not identify it: its start time and its random suffix.
STAMP = re.compile(r"^\d{6}_\d{4}_|_[0-9a-f]{5}$")
SEED = re.compile(r"seed[-_=]?\d+")
SHOWN_KEYS = 30
# Durations of the evaluation in lines of scores, under the same names as those of training.
TIMES = ("time", "data_time")
# Title of a panel, pattern of its curves, and pattern of those drawn by default.
PANELS = (
    ("segmentation loss", r"(.*\.)?loss_seg.*", r".*"),
    ("contrastive loss", r"(.*\.)?loss_cl.*", r".*"),
    ("loss", r"(.*\.)?loss.*", r".*\bloss_.*"),
    ("mIoU [%]", r"(teacher/)?mIoU.*", r".*"),
    ("accuracy [%]", r"(teacher/)?(aAcc|mAcc)|.*acc_seg", r"(?!)"),
    ("share of pixels", r"confidence|ignored_.*", r"confidence"),
    ("lr", r"(.*\.)?(base_)?lr", r"lr"),
)
# Panels whose curves are not smoothed.
NEVER_SMOOTHED = ("mIoU [%]", "lr")


class Curve(NamedTuple):
    """Curve of a logged value.

    Attributes:
        steps: (N,) iterations, ascending.
        values: (N,) floats.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


Curves = dict[str, Curve]


def find_runs(paths: Sequence[str]) -> list[Path]:
    """Find the folders of runs: ``paths`` are runs, or folders of runs.

    Raises:
        InputError: if one of them contains no log.
    """
    runs: dict[Path, None] = {}
    for path in map(Path, paths):
        if any(path.glob(f"*/{SCALARS}")):
            found = [path]
        else:
            found = sorted({log.parents[2] for log in path.glob(f"*/*/{SCALARS}")})
        if not found:
            raise InputError(f"{path} is not a run: there is no <time>/{SCALARS} in it")
        runs.update(dict.fromkeys(found))
    return list(runs)


def read_run(run: Path) -> Curves:
    """Read all curves of a run, by their names in the log.

    A resumed run has a log for each start. They are joined: from the first step on at which a later
    log has a value, it replaces the values of earlier ones.

    Args:
        run: the work dir, with one ``<time>/vis_data/scalars.json`` or several.

    Raises:
        InputError: if a log is damaged, or empty.
    """
    curves: Curves = {}
    for log in sorted(run.glob(f"*/{SCALARS}")):
        for name, later in _read_log(log).items():
            earlier = curves.get(name)
            if earlier is not None:
                kept = earlier.steps < later.steps[0]
                later = Curve(
                    np.concatenate([earlier.steps[kept], later.steps]),
                    np.concatenate([earlier.values[kept], later.values]),
                )
            curves[name] = later
    if not curves:
        raise InputError(f"{run} has logged nothing yet")
    return curves


def read_rows(run: Path, name: str) -> list[dict[str, Any]]:
    """Read the lines of ``<time>/vis_data/<name>.json`` of all starts of a run.

    Args:
        run: the work dir.
        name: name of the logs.

    Returns:
        The lines in the order of their ``step``; of several of one step, the last that was written.

    Raises:
        InputError: if a log is damaged.
    """
    logs = sorted(run.glob(f"*/vis_data/{name}.json"))
    by_step = {step: row | {"step": step} for log in logs for step, row in _rows_of(log)}
    return [by_step[step] for step in sorted(by_step)]


def _rows_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the step and the other values of each line of a log."""
    # Undecodable text is not JSON either, which is reported below.
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = dict(json.loads(line))
            step = int(row.pop("step"))
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):  # cut off when the run was killed
                return
            raise InputError(f"line {number} of {path} is not a line of a log") from error
        yield step, row


def _read_log(path: Path) -> Curves:
    points: dict[str, dict[int, float]] = {}
    for step, row in _rows_of(path):
        of_training = "iter" in row
        for name, value in row.items():
            number_like = isinstance(value, int | float)
            if number_like and name != "iter" and (of_training or name not in TIMES):
                points.setdefault(name, {})[step] = value
    return {
        name: Curve(
            np.array(sorted(by_step), np.int64),
            np.array([by_step[step] for step in sorted(by_step)], np.float64),
        )
        for name, by_step in points.items()
    }


def smooth(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Compute the exponential moving average with bias correction, as TensorBoard does.

    Args:
        values: (N,); ``nan`` stays and does not affect other values.
        weight: weight of earlier values, in [0, 1); 0 changes nothing.
    """
    if not 0 <= weight < 1:
        raise InputError(f"the smoothing must be in [0, 1), not {weight}")
    result = np.full(len(values), np.nan)
    total = share = 0.0
    for i, value in enumerate(values):
        if not np.isnan(value):
            total = weight * total + (1 - weight) * value
            share = weight * share + (1 - weight)
            result[i] = total / share
    return result


def mean_and_spread(curves: Sequence[Curve]) -> tuple[Curve, NDArray[np.float64]]:
    """Compute mean and sample standard deviation over runs at the steps that all have logged.

    Raises:
        InputError: if there is no common step.
    """
    steps = curves[0].steps
    for curve in curves[1:]:
        steps = np.intersect1d(steps, curve.steps)
    if not steps.size:
        raise InputError("the runs of a group have no logged step in common: plot them apart")
    values = np.stack([curve.values[np.isin(curve.steps, steps)] for curve in curves])
    spread = values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(len(steps))
    return Curve(steps, values.mean(axis=0)), spread


def choose_keys(runs: Sequence[Curves], wanted: Sequence[str] = ()) -> dict[str, list[str]]:
    """Choose the curves to draw, and group them by panel.

    Args:
        runs: the curves of every run.
        wanted: names of curves; default: losses (without sums), mIoU, confidence and lr.

    Returns:
        Title of a panel -> names of curves, in the order of ``wanted`` or of the log.

    Raises:
        InputError: if no run has logged one of ``wanted``, or no curve is drawn by default.
    """
    known = list(dict.fromkeys(name for curves in runs for name in curves))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        there = ", ".join(known[:SHOWN_KEYS]) + (", ..." if len(known) > SHOWN_KEYS else "")
        raise InputError(f"--keys {unknown[0]}: not in the logs; choose from {there}")
    shown = {title: default for title, _, default in PANELS}
    panels: dict[str, list[str]] = {}
    for name in wanted or known:
        panel = panel_of(name)
        if wanted or re.fullmatch(shown.get(panel, r"(?!)"), name):
            panels.setdefault(panel, []).append(name)
    if not panels:
        raise InputError(f"no losses, mIoU, confidence or lr in the logs: name --keys of {known}")
    return dict(sorted(panels.items(), key=lambda p: (*shown, p[0]).index(p[0])))


def panel_of(name: str) -> str:
    """Return the title of a curve's panel; the curve's name if it belongs to none."""
    return next((title for title, every, _ in PANELS if re.fullmatch(every, name)), name)


def groups_of_seeds(names: Sequence[str]) -> dict[str, list[int]]:
    """Group runs whose names differ only in seed, start time and suffix.

    Returns:
        Name with ``seed*`` -> indices.

    Raises:
        InputError: if no two runs belong together.
    """
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        groups.setdefault(SEED.sub("seed*", STAMP.sub("", name)), []).append(i)
    if len(groups) == len(names):
        raise InputError(
            "--group: no two runs differ in their seed alone; their folders are named "
            + ", ".join(names)
        )
    return groups


def short_names(names: Sequence[str]) -> list[str]:
    """Shorten names to the parts, between underscores or hyphens, that distinguish them.

    Numbers are left out where words suffice.
    """
    plain = [STAMP.sub("", name) for name in names]
    for candidates, left_out in ((plain, str.isdigit), (plain, str.isspace), (names, str.isspace)):
        parts = [re.split(r"_|-(?=[A-Za-z])", candidate) for candidate in candidates]
        common = set(parts[0]).intersection(*parts)
        short = [
            " ".join(part for part in own if part not in common and not left_out(part))
            for own in parts
        ]
        if all(short) and len(set(short)) == len(short):
            return short
    return list(names)


def lines_of(
    runs: Mapping[str, Sequence[Curves]], name: str
) -> dict[str, tuple[Curve, NDArray[np.float64] | None]]:
    """Select one curve of several runs, or groups of runs.

    Args:
        runs: label -> the curves of its runs; several are averaged.
        name: name of the curve.

    Returns:
        Label -> the curve or mean, and its spread; without runs that lack the curve.
    """
    lines: dict[str, tuple[Curve, NDArray[np.float64] | None]] = {}
    for label, members in runs.items():
        found = [curves[name] for curves in members if name in curves]
        if len(found) > 1:
            lines[label] = mean_and_spread(found)
        elif found:
            lines[label] = (found[0], None)
    return lines
