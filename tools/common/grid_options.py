"""Command line options of ``run_experiments.py`` for several runs."""

import argparse
import re

from mmseg.utils import InputError

from .options import KeyValues


def minutes(text: str) -> int:
    """Parse a duration as SLURM writes it, MINUTES or [DAYS-]HH:MM:SS, as the type of an option."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)", text)
    if match:
        days, hours, rest, seconds = (int(part or 0) for part in match.groups())
        return (24 * days + hours) * 60 + rest + (seconds > 0)
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"expected MINUTES or HH:MM:SS, got {text!r}")
    return int(text)


def add_grid_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the runs of a grid train."""
    add = parser.add_argument_group("several runs").add_argument
    add("--parallel", type=int, metavar="K", help="train K runs at once, on a GPU each (1)")
    add(
        "--submit",
        choices=("slurm", "local"),
        help="train each run as a job of SLURM, or as a process here, and wait for all",
    )
    add("--partition", metavar="P", help="partition of the jobs of SLURM")
    add("--time", type=minutes, metavar="T", help="their time limit, MINUTES or HH:MM:SS (a day)")
    add(
        "--slurm-options",
        nargs="+",
        action=KeyValues,
        default={},
        metavar="K=V",
        help="other options of sbatch, for instance account=vision cpus_per_task=12",
    )


def check_grid_options(args: argparse.Namespace) -> None:
    """Check the options of ``run_experiments.py`` that make several runs.

    Raises:
        InputError: if they contradict others, or an experiment or seed is repeated.
    """
    if args.config and (args.methods or args.seeds):
        raise InputError("--methods and --seeds need --exp: a config is one run")
    if args.seeds and args.seed is not None:
        raise InputError("--seeds replaces --seed: leave out one")
    for option, values in (("--exp", args.exp), ("--seeds", args.seeds)):
        if values and len(set(values)) < len(values):
            raise InputError(f"{option} has the same {option[2:].rstrip('s')} twice")
    if args.parallel is not None and args.parallel < 1:
        raise InputError(f"--parallel must be at least 1, not {args.parallel}")
    if args.submit != "slurm" and (args.partition or args.slurm_options):
        raise InputError("--partition and --slurm-options need --submit slurm")
    if args.submit is None and args.time:
        raise InputError("--time needs --submit")
