"""Command line tools that prepare data sets by :mod:`.conversion`."""

import sys
from typing import TYPE_CHECKING

from tools.common.parser import Parser

if TYPE_CHECKING:
    from tools.convert_datasets.conversion import ConversionReport


def convert(name: str, data_set: str, argv: list[str] | None = None) -> int:
    """Parse the command line, run ``conversion.convert_<name>``, print its report.

    Returns:
        The exit status: 1 if some files are damaged or unfit.
    """
    parser = Parser(
        description=f"Write the train-id label maps of {data_set} and the statistics of its "
        "classes. Existing files are kept."
    )
    parser.add_argument("data_root", help=f"folder of the data set, for instance data/{name}")
    parser.add_argument("--nproc", type=int, default=4, help="number of processes (%(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.nproc < 1:
        parser.error(f"--nproc must be at least 1, got {arguments.nproc}")

    # Imported late to keep --help fast.
    from . import conversion

    report = getattr(conversion, f"convert_{name}")(arguments.data_root, arguments.nproc)
    print_findings(report)
    if report.num_failed:
        print(
            f"error: {failures(report)}; the others are converted, but no statistics were "
            "written: correct the listed files and run this again",
            file=sys.stderr,
        )
        return 1
    print(f"{report.num_files} label maps and their statistics are ready in {arguments.data_root}")
    return 0


def print_findings(report: "ConversionReport") -> None:
    """Print the findings on label files."""
    for remark in report.remarks:
        print(f"note: {remark}")
    for kind in ("damaged", "unfit"):
        for line in getattr(report, kind):
            print(f"{kind}: {line}", file=sys.stderr)


def failures(report: "ConversionReport") -> str:
    """Describe how many label files failed, and how."""
    kinds = " or ".join(kind for kind in ("damaged", "unfit") if getattr(report, kind))
    return f"{report.num_failed} of {report.num_files} label files are {kinds} (listed above)"
