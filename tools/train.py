"""Train a config: ``python -m tools.train CONFIG``."""

import argparse
from pathlib import Path

from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config
from tools.common.options import (
    add_choices,
    add_training_options,
    check_options,
    choose_performance,
    training_arguments,
)
from tools.common.parser import Parser, print_on_local_rank0


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.train", description=__doc__)
    parser.add_argument("config", help="config file (.py or .json)")
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm"),
        help="program that started the processes that train together: torchrun or srun",
    )
    add_training_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Train the config; a resumed run uses the config in its work dir."""
    args = parse_args(argv)
    with print_on_local_rank0(args.launcher):
        check_options(args)
        config = Path(args.config)
        cfg = load_config(config)
        work_dir = args.work_dir or cfg.get("work_dir") or str(Path("work_dirs") / config.stem)
        stored = Path(work_dir) / config.name
        if args.resume and stored.is_file():
            cfg = load_config(stored)
        add_choices(cfg, args)
        cfg.work_dir = work_dir
        choose_performance(cfg, args)
        from mmseg.apis.train import train  # after parsing, to keep --help fast

        train(cfg, resume=args.resume, launcher=args.launcher, **training_arguments(args))


if __name__ == "__main__":
    run_main(main)
