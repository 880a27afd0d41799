"""Compare methods over one or several runs, as aligned text, CSV and LaTeX."""

import csv
import io
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from .report import Result, align, ordered_union

#: Heading of a run, such as "seed 0" -> name of a method -> result of :func:`result_dict`. A run
#: may lack a method.
Results = Mapping[str, Mapping[str, Result]]


def methods_of(results: Results) -> list[str]:
    """Return the names of all methods in order."""
    return ordered_union(results.values())


def means_of(results: Results) -> list[str]:
    """Return the names of the means: mIoU, and those over subsets of the classes."""
    found = [result for run in results.values() for result in run.values()]
    gt = ["mIoU_gt"] * any("mIoU_gt" in result["summary"] for result in found)
    return ordered_union([["mIoU", *gt], *(result.get("class_subsets", ()) for result in found)])


def comparison_table(results: Results, class_names: Sequence[str]) -> str:
    """Compare the IoU per class of methods, with mIoU and other means at the bottom.

    Scores of several runs are mean ± sample standard deviation. With two methods, the last column
    is the difference of their means.

    Args:
        results: results of the runs.
        class_names: names of the rows, in order.
    """
    methods = methods_of(results)

    def row(name: str) -> list[str]:
        scores = [_scores(results, method, name) for method in methods]
        cells = [name, *map(_mean_and_deviation, scores)]
        if len(methods) == 2:
            first, last = scores
            cells.append(f"{fmean(last) - fmean(first):+.2f}" if first and last else "-")
        return cells

    header = ("class", *methods, *["difference"] * (len(methods) == 2))
    return align(header, [row(name) for name in class_names], [*map(row, means_of(results))])


def methods_table(results: Results, baseline: str) -> str:
    """Compare the mIoU (mIoU_gt, mIoU16, mIoU13) of methods in several runs, and their means.

    With several runs there are mean and sample standard deviation; with several methods the last
    column is the difference of the mean to the baseline's.

    Args:
        results: results of the runs.
        baseline: method that the others are compared with.
    """
    methods = methods_of(results)
    header = [*results]
    header += ["mean ± std"] * (len(results) > 1)
    header += ["difference"] * (len(methods) > 1)

    def row(name: str, mean: str) -> list[str]:
        runs = [_scores({heading: run}, name, mean) for heading, run in results.items()]
        cells = [name, *map(_mean_and_deviation, runs)]
        scores, others = _scores(results, name, mean), _scores(results, baseline, mean)
        if len(results) > 1:
            cells.append(_mean_and_deviation(scores))
        if len(methods) > 1:
            comparable = name != baseline and scores and others
            cells.append(f"{fmean(scores) - fmean(others):+.2f}" if comparable else "-")
        return cells

    return "\n\n".join(
        align((mean, *header), [row(name, mean) for name in methods]) for mean in means_of(results)
    )


def comparison_csv(results: Results, class_names: Sequence[str]) -> str:
    """Write the IoU per class and the means, one row for each class and method.

    Columns are the mean over the runs, their sample standard deviation, and each run, in percent.
    A score that does not exist is empty.

    Args:
        results: results of the runs.
        class_names: names of the classes, in order.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "method", "mean", "std", *results])
    for name in [*class_names, *means_of(results)]:
        for method in methods_of(results):
            scores = _scores(results, method, name)
            mean = [f"{fmean(scores):.4f}"] if scores else [""]
            deviation = [f"{stdev(scores):.4f}"] if len(scores) > 1 else [""]
            runs = [_scores({heading: run}, method, name) for heading, run in results.items()]
            cells = [f"{run[0]:.4f}" if run else "" for run in runs]
            writer.writerow([name, method, *mean, *deviation, *cells])
    return text.getvalue()


def comparison_latex(results: Results, class_names: Sequence[str]) -> str:
    """Write the IoU per class and the means as a table of LaTeX, a row for each method.

    It needs the packages booktabs and graphicx. The best mean of each column is bold.

    Args:
        results: results of the runs.
        class_names: names of the columns, in order.
    """
    methods, means = methods_of(results), means_of(results)
    columns = [
        [_scores(results, method, name) for method in methods] for name in [*class_names, *means]
    ]
    best = [max((fmean(scores) for scores in column if scores), default=0) for column in columns]

    def cell(scores: Sequence[float], highest: float) -> str:
        if not scores:
            return "--"
        text = f"{fmean(scores):.1f}"
        if len(methods) > 1 and fmean(scores) == highest:
            text = rf"\textbf{{{text}}}"
        if len(scores) > 1:
            text += rf"{{\scriptsize$\,\pm\,${stdev(scores):.1f}}}"
        return text

    rows = [
        [_escaped(method), *map(cell, scores, best)]
        for method, scores in zip(methods, zip(*columns, strict=True), strict=True)
    ]
    header = ["Method", *(rf"\rotatebox{{90}}{{{_escaped(name)}}}" for name in class_names)]
    header += map(_escaped, means)
    runs = f", mean and standard deviation of {len(results)} runs" if len(results) > 1 else ""
    return "\n".join(
        [
            rf"% IoU in percent{runs}. Needs \usepackage{{booktabs,graphicx}}.",
            rf"\begin{{tabular}}{{l{'c' * len(class_names)}{'c' * len(means)}}}",
            r"\toprule",
            " & ".join(header) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _scores(results: Results, method: str, row: str) -> list[float]:
    """Return the IoU of a class, or a mean, in each run that has it."""
    found = (run[method] for run in results.values() if method in run)
    values = (
        result["per_class"].get(row, {}).get("IoU", result["summary"].get(row)) for result in found
    )
    return [value for value in values if value is not None]


def _mean_and_deviation(scores: Sequence[float]) -> str:
    if not scores:
        return "-"
    deviation = f" ± {stdev(scores):.2f}" if len(scores) > 1 else ""
    return f"{fmean(scores):.2f}{deviation}"


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in text)
