"""Results for people (text tables) and for programs (dictionaries that JSON can hold)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .functional import ClassScores, mean_of_known

Result = Mapping[str, Any]


def summary_of(
    scores: ClassScores,
    class_names: Sequence[str],
    subsets: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, float]:
    """The means in percent: aAcc, mIoU, mAcc, those of other scores, the mean IoU of ``subsets``.

    Args:
        scores: of the classes, in the order of their names.
        class_names: of all C classes.
        subsets: heading -> names of the classes to take the mean over.
    """
    means = {"aAcc": scores.all_acc, "mIoU": scores.mean_iou, "mAcc": scores.mean_acc}
    means |= {f"m{name}": mean_of_known(values) for name, values in scores.others.items()}
    for name, subset in (subsets or {}).items():
        means[name] = mean_of_known(scores.iou[[class_names.index(each) for each in subset]])
    return {name: 100 * value for name, value in means.items()}


def result_dict(
    scores: ClassScores,
    class_names: Sequence[str],
    subsets: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """The result as JSON can hold it: in percent, rounded to 1e-4, ``None`` for ``nan``.

    Args:
        scores: of the classes, in the order of their names.
        class_names: of all C classes.
        subsets: heading -> names of the classes to take a mean over.

    Returns:
        ``{"summary": {"aAcc", "mIoU", "mAcc", heading...}, "per_class": {class: {"IoU", "Acc"}}}``
        and, if there are any, ``"class_subsets"``. Other scores stand next to IoU and Acc.
    """
    summary = summary_of(scores, class_names, subsets)
    columns = {"IoU": scores.iou, "Acc": scores.acc, **scores.others}
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    result = {
        "summary": {name: _json_number(value) for name, value in summary.items()},
        "per_class": {
            name: {key: _json_number(100 * v) for key, v in zip(columns, row, strict=True)}
            for name, row in zip(class_names, rows, strict=True)
        },
    }
    if subsets:
        result["class_subsets"] = {name: list(subset) for name, subset in subsets.items()}
    return result


def per_class_table(result: Result) -> str:
    """IoU, accuracy and what else there is of every class, then the means, as aligned text.

    Where the result tells conditions apart, a second table holds the IoU in each of them.

    Args:
        result: what :func:`result_dict` returns.
    """
    per_class = result["per_class"]
    rows = [(name, *map(_percent, row.values())) for name, row in per_class.items()]
    columns = next(iter(per_class.values()))
    means = [(name, _percent(value)) for name, value in result["summary"].items()]
    blocks = [align(("class", *columns), rows), align(("summary", "percent"), means)]
    if subsets := result.get("class_subsets"):
        blocks.append(_left_out(subsets, list(per_class)))
    if "cityscapes" in result:
        blocks.append(_by_cityscapes(result["cityscapes"]))
    if "per_condition" in result:
        blocks.append(f"IoU per condition\n\n{condition_table(result)}")
    return "\n\n".join(blocks)


def _by_cityscapes(scores: Result) -> str:
    """The means of :func:`~mmseg.evaluation.cityscapes.cityscapes_scores`."""
    classes, categories = (
        _percent(scores[key] and 100 * scores[key])
        for key in ("averageScoreClasses", "averageScoreCategories")
    )
    return f"cityscapesscripts: IoU of classes {classes}, of categories {categories}"


def condition_table(result: Result) -> str:
    """IoU per class in each condition that the result tells apart, and over all."""
    return side_by_side({**result["per_condition"], "all": result})


def side_by_side(named_results: Mapping[str, Result]) -> str:
    """IoU per class of several results, a column each, and all means at the bottom.

    Args:
        named_results: heading -> what :func:`result_dict` returns.
    """
    results = list(named_results.values())
    rows = [
        (name, *(_percent(result["per_class"].get(name, {}).get("IoU")) for result in results))
        for name in _ordered_union(result["per_class"] for result in results)
    ]
    means = [
        (name, *(_percent(result["summary"].get(name)) for result in results))
        for name in _ordered_union(result["summary"] for result in results)
    ]
    return align(("class", *named_results), rows, means)


def comparison_table(named_results: Mapping[str, Result], class_names: Sequence[str]) -> str:
    """IoU per class of several results side by side, mIoU (mIoU16, mIoU13) at the bottom.

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
    subsets = _ordered_union(result.get("class_subsets", ()) for result in results)
    means = [
        (name, *_with_difference([result["summary"].get(name) for result in results]))
        for name in ("mIoU", *subsets)
    ]
    return align(header, rows, means)


def _left_out(subsets: Mapping[str, Sequence[str]], class_names: Sequence[str]) -> str:
    """Which classes do not count in the means over some of them."""
    lines = []
    for name, subset in subsets.items():
        others = [each for each in class_names if each not in subset]
        lines.append(f"{name}: mean of {len(subset)} classes, without {', '.join(others)}")
    return "\n".join(lines)


def _ordered_union(groups: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


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


def align(header: Sequence[str], *blocks: Sequence[Sequence[str]]) -> str:
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
