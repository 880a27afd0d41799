"""What :func:`~mmseg.apis.evaluate_on` returns, as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmseg.evaluation import condition_table, per_class_table, side_by_side

from .class_weights import class_weights_text

Result = Mapping[str, Any]

TITLE = "IoU of each class, and the means, in percent"
LEGEND = (
    "IoU 0.00 without Acc: the class is predicted but not in the ground truth; it counts in mIoU.\n"
    "IoU -: the class is neither predicted nor in the ground truth; it is left out of the means."
)


def report(results: Sequence[Result]) -> str:
    """For the terminal: every class of one data set, or several data sets side by side."""
    if len(results) == 1:
        (result,) = results
        return f"{heading(result)}\n\n{per_class_table(result)}\n\nsaved as {result['file']}"
    blocks = [TITLE, _table_of_sets(results)]
    for result in results:
        if "per_condition" in result:
            blocks += [f"{result['name']}, each condition", condition_table(result)]
    blocks.append("\n".join(f"{r['name']}: {heading(r)}\n  saved as {r['file']}" for r in results))
    return "\n\n".join(blocks)


def table_text(results: Sequence[Result]) -> str:
    """For a file: IoU and accuracy of every class on every data set, and what was tested."""
    first = results[0]
    blocks = [f"checkpoint: {first['checkpoint']}\nconfig: {first['config']}"]
    if len(results) > 1:
        blocks += [TITLE, _table_of_sets(results)]
    for result in results:
        if len(results) > 1:
            blocks.append(f"{result['name']}\n{'=' * len(result['name'])}")
        blocks += [heading(result), per_class_table(result)]
    rows = [row for result in results for row in result["per_class"].values()]
    if any(row["Acc"] is None for row in rows):
        blocks.append(LEGEND)
    return "\n\n".join(blocks) + "\n"


def heading(result: Result) -> str:
    """One line: the data set and how it was predicted."""
    parts = [f"{result['dataset']} in {result['data_root']}", f"{result['images']} images"]
    parts.append(result["model"])
    parts += ["several scales and flips"] * result["aug_test"]
    parts.append(class_weights_text(result["class_weight"]))
    return ", ".join(filter(None, parts))


def _table_of_sets(results: Sequence[Result]) -> str:
    return side_by_side({result["name"]: result for result in results})
