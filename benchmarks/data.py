"""Measure how fast training data are loaded, and whether a step has to wait for them.

If the data of a config are missing, a few stand-in files are drawn in the format and size of the
real data set.
"""

import argparse
from pathlib import Path

from mmseg.utils import InputError, check_writable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the data benchmark."""
    add = parser.add_argument
    add("--workers", type=int, metavar="W", help="loading processes (default: the config's)")
    add("--batches", type=int, default=50, metavar="K", help="batches to measure (50)")
    add("--step-ms", type=float, default=130, metavar="MS", help="duration of a step (130)")
    add(
        "--data-root",
        metavar="DIR",
        help="folder of the data sets, such as data or data/toy (default: the config's)",
    )
    add("--json", metavar="FILE", help="write all measurements to this file")


def main(args: argparse.Namespace) -> None:
    """Measure, print, and write what ``--json`` asks for."""
    for option, value, least in (
        ("--workers", args.workers, 0),
        ("--batches", args.batches, 1),
        ("--step-ms", args.step_ms, 0),
    ):
        if value is not None and not value >= least:
            raise InputError(f"{option} {value:g}: must be at least {least}")
    if args.data_root and not Path(args.data_root).is_dir():
        raise InputError(f"--data-root {args.data_root}: no such folder")
    if args.json:
        check_writable(Path(args.json).parent, "--json")
    from .data_files import with_data  # late, to keep --help fast
    from .loading import measure_loading
    from .report import loading_text, write_json

    with with_data(args.cfg, args.data_root) as (cfg, places):
        result = measure_loading(cfg, args.workers, args.batches, args.step_ms / 1e3)
    result["data"] = places
    print(loading_text(result))
    if args.json:
        write_json(args.json, result)
