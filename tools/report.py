"""Make one HTML page about training runs: ``python -m tools.report RUN ... --out report``."""

import argparse
from pathlib import Path

from mmseg.utils.cli import run_main
from tools.common.parser import Parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.report", description=__doc__)
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="work dir of a run, or folder of runs"
    )
    parser.add_argument(
        "--out",
        default="report",
        metavar="DIR",
        help="folder of the page report.html, or an .html file (report)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Write the page, and print its path."""
    args = parse_args(argv)
    from tools.reporting import make_report  # late: --help is fast

    print(f"wrote {make_report([Path(run) for run in args.runs], Path(args.out))}")


if __name__ == "__main__":
    run_main(main)
