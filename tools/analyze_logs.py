"""Draw the curves of runs: ``python -m tools.analyze_logs work_dirs/RUN... --out curves.png``."""

import argparse
from pathlib import Path

from mmseg.utils.cli import run_main
from tools.common.parser import Parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.analyze_logs", description=__doc__)
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="work dir of a run, or a folder of them")
    add("--out", default="curves.png", metavar="FILE", help=".png, .pdf or .svg file (%(default)s)")
    add(
        "--keys",
        nargs="+",
        default=[],
        metavar="K",
        help="curves to draw, for instance src.decode.loss_seg mIoU; default: losses, mIoU, "
        "confidence, learning rate",
    )
    add(
        "--group",
        action="store_true",
        help="draw runs whose names differ only in the seed as their mean, with a band of one "
        "standard deviation on each side",
    )
    add(
        "--smooth",
        type=float,
        default=0.0,
        metavar="W",
        help="weight of the past in a moving average, in [0, 1), for instance 0.8 (0)",
    )
    add("--labels", nargs="+", metavar="L", help="labels in the legend, one for each run or group")
    add("--title", help="title of the chart; default: the name of a single run")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Draw the chart, and print its path."""
    args = parse_args(argv)
    from tools.analysis.curves import plot_runs  # late, to keep --help fast

    out = Path(args.out)
    drawn = plot_runs(
        args.runs,
        out,
        keys=args.keys,
        group=args.group,
        smoothing=args.smooth,
        labels=args.labels,
        title=args.title,
    )
    for label, runs in drawn.items():
        print(f"{label}: {', '.join(map(str, runs))}")
    print(f"wrote {out}")


if __name__ == "__main__":
    run_main(main)
