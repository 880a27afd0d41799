"""Generate the configs of an experiment and train them: ``python run_experiments.py --exp N``."""

import argparse
import json
import re
import secrets
import time
from pathlib import Path
from typing import Any

from experiments import EXPERIMENTS, describe, generate_experiment_cfgs
from mmseg.utils import InputError, atomic_path
from mmseg.utils.cli import run_main
from tools.train import add_training_options

ROOT = Path(__file__).parent
GENERATED = ROOT / "configs" / "generated"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    listing = "\n".join(f"  {describe(exp)}" for exp in EXPERIMENTS)
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"experiments:\n{listing}\n\n0 is the demo: toy data, CPU, minutes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--exp", type=int, metavar="N", help="experiment to run, see below")
    what.add_argument("--config", metavar="FILE", help="a config of your own instead")
    add = parser.add_argument
    add("--debug", action="store_true", help="a shrunken copy: a minute on a CPU, toy data if need be")
    add("--dry-run", action="store_true", help="print the configs and exit")
    add_training_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Generate, train, and for the demo compare."""
    args = parse_args(argv)
    runs = planned_runs(args)
    if args.dry_run:
        for run in runs:
            print(run.resolved(args).pretty_text)
        return
    for run in runs:
        run.train(args)


if __name__ == "__main__":
    run_main(main)
