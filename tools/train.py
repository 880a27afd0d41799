"""Train a config: ``python -m tools.train CONFIG``."""

import argparse
from pathlib import Path

from mmengine.config import Config

from mmseg.utils import InputError
from mmseg.utils.cli import Parser, run_main, told_once_a_machine
from mmseg.utils.config import (
    add_cfg_options,
    add_performance_options,
    choose_performance,
    load_config,
    override,
)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(prog="python -m tools.train", description=__doc__)
    parser.add_argument("config", help="config file (.py or .json)")
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm"),
        help="who has started this process and others to train together: torchrun or srun",
    )
    add_training_options(parser)
    return parser.parse_args(argv)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """The options that ``run_experiments.py`` shares with this tool."""
    add = parser.add_argument
    add("--work-dir", metavar="DIR", help="where checkpoints and logs go")
    add("--resume", action="store_true", help="go on exactly from the last checkpoint of the run")
    add("--load-from", metavar="FILE", help="start a run with the student of this checkpoint")
    add("--no-validate", action="store_true", help="train without evaluation")
    add("--seed", type=int, metavar="S", help="of data, augmentation and initial weights")
    add("--deterministic", action="store_true", help="two runs of one seed are bit-equal")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add("--from-scratch", action="store_true", help="start without ImageNet weights")
    add_performance_options(parser)
    add_cfg_options(parser, "train_cfg.max_iters=100")


def check_options(args: argparse.Namespace) -> None:
    """Check the options of :func:`add_training_options` before anything is read or written.

    Raises:
        InputError: two of them contradict each other, or there is no file to load from.
    """
    if not args.load_from:
        return
    if args.resume:
        raise InputError(
            "--resume goes on with a run, --load-from starts one with other weights: leave out one"
        )
    if not Path(args.load_from).is_file():
        raise InputError(f"--load-from {args.load_from}: no such file")


def add_choices(cfg: Config, args: argparse.Namespace) -> None:
    """Set in ``cfg`` what ``--cfg-options``, ``--load-from`` and ``--no-validate`` choose."""
    override(cfg, args.cfg_options)
    if args.load_from:
        cfg.load_from = args.load_from
    if args.no_validate:
        cfg.validate = False


def main(argv: list[str] | None = None) -> None:
    """Parse and train; a run that is resumed goes on with the config in its work dir."""
    args = parse_args(argv)
    with told_once_a_machine(args.launcher):
        check_options(args)
        config = Path(args.config)
        cfg = load_config(config)
        work_dir = args.work_dir or cfg.get("work_dir") or str(Path("work_dirs") / config.stem)
        stored = Path(work_dir) / config.name
        if args.resume and stored.is_file():
            cfg = load_config(stored)
        add_choices(cfg, args)
        cfg.work_dir = work_dir
        run(cfg, args, args.resume, args.launcher)


def run(cfg: Config, args: argparse.Namespace, resume: bool, launcher: str | None = None) -> None:
    """Train ``cfg`` with the options of :func:`add_training_options`."""
    from mmseg.apis.train import train  # after parsing: --help is fast

    choose_performance(cfg, args)
    train(
        cfg,
        device=args.device,
        resume=resume,
        from_scratch=args.from_scratch,
        seed=args.seed,
        deterministic=args.deterministic,
        launcher=launcher,
    )


if __name__ == "__main__":
    run_main(main)
