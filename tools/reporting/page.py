"""Make the page of a report."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mmseg import __version__
from mmseg.utils import InputError, atomic_path, check_writable

from .classes import class_table, confusions, courses
from .course import charts_of, phase_rows, speed_of
from .overview import BEST, GAIN, Overview, group_rows, headline_of, run_row
from .pictures import Room, colours_of, compared_images, training_panels
from .repeat import command_of, environments
from .runs import find, read
from .scores import class_names
from .settings import differing_settings, settings_of

PAGE = "report.html"
# Loaded with this module, which a long run may outlive.
_TEMPLATE = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("page.html.j2")


def make_report(runs: Sequence[Path], out: Path) -> Path:
    """Write one HTML page about training runs, which needs no other file and no network.

    Args:
        runs: work dirs of runs, or folders of them.
        out: folder of ``report.html``, or an ``.html`` file.

    Returns:
        The path of the page.

    Raises:
        InputError: if a folder is not a run, a run has no result yet or a damaged file, or the page
            cannot be written.
    """
    if not runs:
        raise InputError("a report needs at least one run")
    page = out if out.suffix == ".html" else out / PAGE
    found = [read(folder) for folder in find(runs)]
    check_writable(page.parent, "--out")
    text = _TEMPLATE.render(_content(Overview(found)))
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def _content(overview: Overview) -> dict[str, Any]:
    """Return the values of the template."""
    runs, labels = overview.runs, overview.labels
    named = list(zip(runs, labels, strict=True))
    classes = class_names(overview.finals)
    colors = colours_of(runs, len(classes))
    rows = [
        run_row(overview, i)
        | speed_of(run)
        | {
            "settings": json.dumps(settings_of(run.config), indent=1, default=str),
            "command": command_of(run),
        }
        for i, run in enumerate(runs)
    ]
    scores = [row["scores"] for row in rows]
    names = dict.fromkeys(name for own in scores for name in own)
    return {
        **headline_of(overview),
        **_pictures(overview),
        "made": f"sepico-mmseg {__version__}, {time.strftime('%Y-%m-%d %H:%M')}",
        "runs": rows,
        "trained": {name: rows[own[0]] for name, own in overview.columns().items()},
        "scores": [name for name in names if any(own.get(name) is not None for own in scores)],
        "gain": GAIN,
        "best_score": BEST,
        "measured": list(dict.fromkeys(final.data for final in overview.finals if final)),
        "groups": group_rows(overview),
        "tests": [_test_row(test, label) for run, label in named for test in run.tests],
        "classes": class_table(overview, colors),
        "class_colors": list(zip(classes, colors, strict=False)),
        "courses": courses(overview),
        "confusions": confusions(overview),
        "legend": overview.legend,
        "charts": charts_of(runs, labels, overview.colors),
        "phases": [
            {"label": label, "rows": phase_rows(run.phases)} for run, label in named if run.phases
        ],
        "differing": differing_settings([run.config for run in runs]),
        "environments": environments(runs),
    }


def _test_row(test: dict[str, Any], label: str) -> dict[str, Any]:
    return {
        "label": label,
        "checkpoint": Path(test["checkpoint"]).name,
        "data": f"{test['dataset'].removesuffix('Dataset')} ({test['data_root'].rstrip('/')})",
        "network": test["model"] + (", scales and flips" if test["aug_test"] else ""),
        "images": test["images"],
        "miou": test["summary"]["mIoU"],
    }


def _pictures(overview: Overview) -> dict[str, Any]:
    """Return the pictures that the page has room for, those of the validation first."""
    room = Room()
    compared = compared_images(overview.runs, overview.labels, room)
    dropped = room.dropped
    layers = list(dict.fromkeys(name for each in compared for name in each.layers))
    right = overview.labels[overview.best()]
    panels, count = training_panels(overview.runs, room)
    return {
        "compared": compared,
        "layers": layers,
        "left": "ground truth" if "ground truth" in layers else layers[0] if layers else "",
        "best": right,
        "right": right if right in layers else layers[-1] if layers else "",
        "left_out": dropped,
        "panels": [(overview.labels[panel.run], panel) for panel in panels],
        "panel_count": count,
    }
