"""Results for people (text tables) and for programs (dictionaries that JSON can hold)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .functional import ClassScores

SUMMARY = ("aAcc", "mIoU", "mAcc")


def per_class_scores(scores: ClassScores, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """One ``{"class", "IoU", "Acc"}`` a class, in percent, ``nan`` where there is none."""
    rows = zip(class_names, scores.iou.tolist(), scores.acc.tolist(), strict=True)
    return [{"class": name, "IoU": 100 * iou, "Acc": 100 * acc} for name, iou, acc in rows]


def result_dict(
    metrics: Mapping[str, float], per_class: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The result as JSON can hold it: rounded to 1e-4 percent, ``None`` for ``nan``.

    Args:
        metrics: aAcc, mIoU, mAcc in percent.
        per_class: what :func:`per_class_scores` returns.

    Returns:
        ``{"summary": {aAcc, mIoU, mAcc}, "per_class": {class: {"IoU", "Acc"}}}``.
    """
    return {
        "summary": {name: _json_number(metrics[name]) for name in SUMMARY},
        "per_class": {
            row["class"]: {name: _json_number(row[name]) for name in ("IoU", "Acc")}
            for row in per_class
        },
    }


def per_class_table(result: Mapping[str, Any]) -> str:
    """IoU and accuracy of every class, then the means, as aligned text.

    Args:
        result: what :func:`result_dict` returns.
    """
    rows = [
        (name, _percent(row["IoU"]), _percent(row.get("Acc")))
        for name, row in result["per_class"].items()
    ]
    means = [(name, _percent(result["summary"][name])) for name in SUMMARY]
    return f"{_align(('class', 'IoU', 'Acc'), rows)}\n\n{_align(('summary', 'percent'), means)}"


def comparison_table(
    named_results: Mapping[str, Mapping[str, Any]], class_names: Sequence[str]
) -> str:
    """IoU per class of several results side by side, mIoU at the bottom.

    With two results or more a last column holds the last minus the first.

    Args:
        named_results: heading -> what :func:`result_dict` returns.
        class_names: the rows, in order.
    """
    results = list(named_results.values())
    header = ("class", *named_results) + (("difference",) if len(results) > 1 else ())
    rows = []
    for name in class_names:
        values = [result["per_class"].get(name, {}).get("IoU") for result in results]
        rows.append((name, *_with_difference(values)))
    means = [result["summary"]["mIoU"] for result in results]
    return _align(header, rows, [("mIoU", *_with_difference(means))])


def _with_difference(values: list[float | None]) -> list[str]:
    cells = [_percent(value) for value in values]
    if len(values) > 1:
        known = values[0] is not None and values[-1] is not None
        cells.append(f"{values[-1] - values[0]:+.2f}" if known else "-")
    return cells


def _json_number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _align(header: Sequence[str], *blocks: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell, names to the left, numbers to the right."""
    every = [header, *(row for block in blocks for row in block)]
    widths = [max(len(row[i]) for row in every) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "  ".join([row[0].ljust(widths[0]), *cells])

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [line(header)]
    for block in blocks:
        lines += [rule, *map(line, block)]
    return "\n".join(lines)
