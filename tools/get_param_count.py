"""Count parameters and FLOPs of a network: ``python -m tools.get_param_count CONFIG``."""

import argparse
import sys
from pathlib import Path
from typing import Any

# If this file is run, Python searches its folder for modules instead of the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments import EXPERIMENTS, NETWORKS, experiment, experiment_config
from mmseg.utils import InputError
from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config
from tools.common.parser import Parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.get_param_count", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("config", nargs="?", help="config file")
    what.add_argument("--exp", type=experiment, metavar="N", help="experiment instead of a config")
    what.add_argument("--all", action="store_true", help="compare the networks of all experiments")
    parser.add_argument(
        "--shape",
        nargs=2,
        type=int,
        default=(640, 640),
        metavar=("H", "W"),
        help="size of the image (640 640)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Count parameters and FLOPs, and print them as a table."""
    args = parse_args(argv)
    size = tuple(args.shape)
    if min(size) < 1:
        raise InputError(f"--shape {size[0]} {size[1]}: height and width must be positive")
    if args.all:
        models = networks_of_experiments()
    elif args.config:
        models = {args.config: load_config(args.config).get("model")}
    else:
        models = {str(args.exp): network_of(args.exp)}
    if not all(isinstance(model, dict) for model in models.values()):
        raise InputError(f"{args.config} has no model")
    from tools.analysis.complexity import (  # late, to keep --help and bad configs fast
        cost_comparison,
        cost_table,
        count_cost,
    )

    costs = {title: count_cost(model, size) for title, model in models.items()}
    print(cost_comparison(costs, size) if args.all else cost_table(*costs.values(), size))


def networks_of_experiments() -> dict[str, Any]:
    """Return the networks of all experiments, by their names and numbers of experiments."""
    users: dict[str, list[int | str]] = {}
    for exp, row in EXPERIMENTS.items():
        users.setdefault(row.network, []).append(exp)
    return {
        f"{NETWORKS[key].model} ({', '.join(map(str, exps))})": network_of(exps[0])
        for key, exps in users.items()
    }


def network_of(exp: int | str) -> Any:
    """Return the config of the segmentor that an experiment trains."""
    return experiment_config(exp).model.segmentor


if __name__ == "__main__":
    run_main(main)
