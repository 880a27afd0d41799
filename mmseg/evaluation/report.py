"""Format results as text tables, and as dictionaries for JSON."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .functional import ClassScores

Result = Mapping[str, Any]

TITLE = "IoU of each class, and the means, in percent"
LEGEND = (
    "IoU 0.00 without Acc: the class is predicted but not in the ground truth; it counts in mIoU,\n"
    "but not in mIoU_gt, the mean over the classes in the ground truth.\n"
    "IoU -: the class is neither predicted nor in the ground truth; it is left out of the means."
)


def summary_of(
    scores: ClassScores,
    class_names: Sequence[str],
    subsets: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, float]:
    """Compute means in percent: aAcc, mIoU, mAcc, of other scores, and mean IoUs of ``subsets``.

    If the ground truth lacks classes, ``mIoU_gt`` is the mean IoU over those that it has. In mIoU a
    missing class counts with IoU 0 if it is predicted.

    Args:
        scores: scores of the classes, in the order of their names.
        class_names: names of all C classes.
        subsets: heading -> names of the classes to average over.
    """
    means = {"aAcc": scores.all_acc, "mIoU": scores.mean_iou, "mAcc": scores.mean_acc}
    present = ~scores.acc.isnan()
    if present.any() and not present.all():
        means["mIoU_gt"] = scores.iou[present].nanmean().item()
    means |= {f"m{name}": values.nanmean().item() for name, values in scores.others.items()}
    for name, subset in (subsets or {}).items():
        chosen = [class_names.index(each) for each in subset]
        means[name] = scores.iou[chosen].nanmean().item()
    return {name: 100 * value for name, value in means.items()}


def result_dict(
    scores: ClassScores,
    class_names: Sequence[str],
    subsets: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Convert scores to a dict for JSON: in percent, rounded to 1e-4, ``None`` for ``nan``.

    Args:
        scores: scores of the classes, in the order of their names.
        class_names: names of all C classes.
        subsets: heading -> names of the classes to average over.

    Returns:
        ``{"summary": {"aAcc", "mIoU", "mAcc", heading...}, "per_class": {class: {"IoU", "Acc"}}}``
        and, if there are any, ``"class_subsets"``. Other scores are next to IoU and Acc.
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
    """List the scores of every class, then the means, as aligned text.

    If the result has conditions, a second table lists the IoU in each of them.

    Args:
        result: result of :func:`result_dict`.
    """
    per_class = result["per_class"]
    rows = [(name, *map(percent, row.values())) for name, row in per_class.items()]
    columns = next(iter(per_class.values()))
    means = [(name, percent(value)) for name, value in result["summary"].items()]
    blocks = [align(("class", *columns), rows), align(("summary", "percent"), means)]
    if subsets := result.get("class_subsets"):
        lines = []
        for name, subset in subsets.items():
            others = ", ".join(each for each in per_class if each not in subset)
            lines.append(f"{name}: mean of {len(subset)} classes, without {others or 'none'}")
        blocks.append("\n".join(lines))
    if "cityscapes" in result:
        found = result["cityscapes"]
        classes, categories = (
            percent(found[key] and 100 * found[key])
            for key in ("averageScoreClasses", "averageScoreCategories")
        )
        blocks.append(f"cityscapesscripts: IoU of classes {classes}, of categories {categories}")
    if "per_condition" in result:
        blocks.append(f"IoU per condition\n\n{condition_table(result)}")
    return "\n\n".join(blocks)


def condition_table(result: Result) -> str:
    """List the IoU per class in each condition of the result, and overall."""
    return side_by_side({**result["per_condition"], "all": result})


def side_by_side(named_results: Mapping[str, Result]) -> str:
    """List the IoU per class of several results, a column each, and all means at the bottom.

    Args:
        named_results: heading -> result of :func:`result_dict`.
    """
    classes, means = (
        ordered_union(result[part] for result in named_results.values())
        for part in ("per_class", "summary")
    )
    results = named_results.values()
    return align(
        ("class", *named_results),
        [
            [name, *(percent(result["per_class"].get(name, {}).get("IoU")) for result in results)]
            for name in classes
        ],
        [[name, *(percent(result["summary"].get(name)) for result in results)] for name in means],
    )


def ordered_union(groups: Iterable[Iterable[str]]) -> list[str]:
    """Merge groups of names, each in its first place."""
    return list(dict.fromkeys(name for group in groups for name in group))


def _json_number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def percent(value: float | None) -> str:
    """Format a score in percent."""
    return "-" if value is None else f"{value:.2f}"


def align(header: Sequence[str], *blocks: Sequence[Sequence[str]]) -> str:
    """Align columns: names to the left, numbers to the right."""
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


def report(results: Sequence[Result]) -> str:
    """Format results for the terminal: all classes of one data set, or several side by side."""
    if len(results) == 1:
        (result,) = results
        return f"{heading(result)}\n\n{per_class_table(result)}\n\nsaved as {result['file']}"
    blocks = [TITLE, side_by_side({result["name"]: result for result in results})]
    for result in results:
        if "per_condition" in result:
            blocks += [f"{result['name']}, each condition", condition_table(result)]
    blocks.append("\n".join(f"{r['name']}: {heading(r)}\n  saved as {r['file']}" for r in results))
    return "\n\n".join(blocks)


def table_text(results: Sequence[Result]) -> str:
    """Format results for a file: the scores of every class on every data set."""
    first = results[0]
    blocks = [f"checkpoint: {first['checkpoint']}\nconfig: {first['config']}"]
    if len(results) > 1:
        blocks += [TITLE, side_by_side({result["name"]: result for result in results})]
    for result in results:
        if len(results) > 1:
            blocks.append(f"{result['name']}\n{'=' * len(result['name'])}")
        blocks += [heading(result), per_class_table(result)]
    rows = [row for result in results for row in result["per_class"].values()]
    if any(row["Acc"] is None for row in rows):
        blocks.append(LEGEND)
    return "\n\n".join(blocks) + "\n"


def heading(result: Result) -> str:
    """Describe in one line the data set and how it was predicted."""
    parts = [f"{result['dataset']} in {result['data_root']}", f"{result['images']} images"]
    parts.append(result["model"])
    parts += ["several scales and flips"] * result["aug_test"]
    parts.append(class_weights_text(result["class_weight"]))
    return ", ".join(filter(None, parts))


def class_weights_text(used: bool | None) -> str:
    """Say whether test-time class weights were used, of a model that has some (not None)."""
    return "" if used is None else f"{'with' if used else 'without'} the test-time class weights"
