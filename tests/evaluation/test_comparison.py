"""Compare methods over runs, as text, CSV and LaTeX, with numbers worked out by hand."""

import csv

from mmseg.evaluation import comparison_csv, comparison_latex, comparison_table, methods_table
from tests.evaluation.test_report import CLASSES, FIRST, LAST, result


def test_comparison_table():
    assert comparison_table(
        {"seed 0": {"source only": FIRST, "SePiCo": LAST}}, CLASSES
    ).splitlines() == [
        "class          source only  SePiCo  difference",
        "----------------------------------------------",
        "road                 33.33  100.00      +66.67",
        "sky                  33.33   50.00      +16.67",
        "traffic light            -    0.00           -",
        "----------------------------------------------",
        "mIoU                 33.33   50.00      +16.67",
        "mIoU_gt              33.33   75.00      +41.67",
    ]


def test_comparison_has_the_means_over_class_subsets():
    subsets = {"mIoU2": ("road", "sky")}
    first = result([[1, 1, 0], [1, 1, 0], [0, 0, 0]], subsets)
    last = result([[3, 0, 0], [0, 2, 2], [0, 0, 0]], subsets)
    assert comparison_table(
        {"seed 0": {"source only": first, "SePiCo": last}}, CLASSES
    ).splitlines()[-3:] == [
        "mIoU                 33.33   50.00      +16.67",
        "mIoU_gt              33.33   75.00      +41.67",
        "mIoU2                33.33   75.00      +41.67",
    ]


def test_methods_have_mean_deviation_and_difference_over_seeds():
    subsets = {"mIoU1": ("road",)}
    first = result([[1, 1, 0], [1, 1, 0], [0, 0, 0]], subsets)  # mIoU 33.33, road 33.33
    last = result([[3, 0, 0], [0, 2, 2], [0, 0, 0]], subsets)  # mIoU 50, without sky 75
    best = result([[3, 0, 0], [0, 2, 0], [0, 0, 0]], subsets)  # mIoU 100, road 100
    results = {
        "seed 0": {"DACS": last, "source only": first, "SePiCo + MIC": best},
        "seed 7": {"DACS": best, "source only": last, "SePiCo + MIC": last},
    }
    assert methods_table(results, "source only").splitlines() == [
        "mIoU          seed 0  seed 7     mean ± std  difference",
        "-------------------------------------------------------",
        "DACS           50.00  100.00  75.00 ± 35.36      +33.33",
        "source only    33.33   50.00  41.67 ± 11.79           -",
        "SePiCo + MIC  100.00   50.00  75.00 ± 35.36      +33.33",
        "",
        "mIoU_gt       seed 0  seed 7     mean ± std  difference",
        "-------------------------------------------------------",
        "DACS           75.00  100.00  87.50 ± 17.68      +33.33",
        "source only    33.33   75.00  54.17 ± 29.46           -",
        "SePiCo + MIC  100.00   75.00  87.50 ± 17.68      +33.33",
        "",
        "mIoU1         seed 0  seed 7     mean ± std  difference",
        "-------------------------------------------------------",
        "DACS          100.00  100.00  100.00 ± 0.00      +33.33",
        "source only    33.33  100.00  66.67 ± 47.14           -",
        "SePiCo + MIC  100.00  100.00  100.00 ± 0.00      +33.33",
    ]
    one = methods_table({"seed 7": results["seed 7"]}, "DACS").splitlines()
    assert one[0].split() == ["mIoU", "seed", "7", "difference"]
    assert one[3].split() == ["source", "only", "50.00", "-50.00"]


def test_comparison_of_one_has_no_difference():
    assert (
        comparison_table({"seed 0": {"SePiCo": LAST}}, CLASSES).splitlines()[-2]
        == "mIoU            50.00"
    )


def test_comparison_of_three_has_no_difference():
    table = comparison_table({"seed 0": {"a": FIRST, "b": LAST, "c": FIRST}}, CLASSES)
    assert table.splitlines()[-2].split() == ["mIoU", "33.33", "50.00", "33.33"]


# Road: 33.33 and 100 of the first, 100 in one run of the other. Traffic light: only in one run.
SEEDS = {
    "seed 0": {"source only": FIRST, "SePiCo": LAST},
    "seed 1": {"source only": LAST},  # the other method has failed
    "seed 2": {"source only": FIRST, "SePiCo": result([[1, 1, 0], [1, 1, 0], [0, 0, 1]])},
}


def test_classes_have_mean_and_deviation_over_seeds():
    lines = comparison_table(SEEDS, CLASSES).splitlines()
    assert lines[0].split() == ["class", "source", "only", "SePiCo", "difference"]
    assert lines[2].split()[1:] == ["55.56", "±", "38.49", "66.67", "±", "47.14", "+11.11"]
    # Of the first method one run has this class, of the other two.
    assert lines[4].split()[2:] == ["0.00", "50.00", "±", "70.71", "+50.00"]
    assert lines[6].split()[1:] == ["38.89", "±", "9.62", "52.78", "±", "3.93", "+13.89"]


def test_a_failed_run_leaves_a_gap_in_the_table_of_methods():
    lines = methods_table(SEEDS, "source only").splitlines()
    assert lines[3].split() == ["SePiCo", "50.00", "-", "55.56", "52.78", "±", "3.93", "+13.89"]


def test_csv_has_a_row_for_each_class_and_method():
    rows = list(csv.reader(comparison_csv(SEEDS, CLASSES).splitlines()))
    assert rows[0] == ["class", "method", "mean", "std", "seed 0", "seed 1", "seed 2"]
    assert rows[1][:4] == ["road", "source only", "55.5555", "38.4900"]
    assert rows[1][4:] == ["33.3333", "100.0000", "33.3333"]
    assert rows[5] == ["traffic light", "source only", "0.0000", "", "", "0.0000", ""]
    assert rows[8] == ["mIoU", "SePiCo", "52.7778", "3.9284", "50.0000", "", "55.5556"]
    assert len(rows) == 1 + 2 * 5


def test_latex_has_a_row_for_each_method_and_bold_bests():
    lines = comparison_latex({"a": {"A & B": FIRST, "C_1": LAST}}, CLASSES).splitlines()
    assert lines[1:3] == [r"\begin{tabular}{lccccc}", r"\toprule"]
    names = " & ".join(rf"\rotatebox{{90}}{{{name}}}" for name in CLASSES)
    assert lines[3] == rf"Method & {names} & mIoU & mIoU\_gt \\"
    assert lines[5] == r"A \& B & 33.3 & 33.3 & -- & 33.3 & 33.3 \\"
    best = [rf"\textbf{{{value}}}" for value in ("100.0", "50.0", "0.0", "50.0", "75.0")]
    assert lines[6] == rf"C\_1 & {' & '.join(best)} \\"
    with_deviation = comparison_latex(SEEDS, CLASSES)
    assert r"\textbf{52.8}{\scriptsize$\,\pm\,$3.9} & \textbf{75.0} \\" in with_deviation
    assert with_deviation.startswith("% IoU in percent, mean and standard deviation of 3 runs.")
