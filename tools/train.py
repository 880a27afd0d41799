"""Train a config: ``python -m tools.train CONFIG``."""

import argparse
from pathlib import Path

from mmseg.utils.cli import run_main
from mmseg.utils.config import KeyValues, load_config


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.train", description=__doc__)
    parser.add_argument("config", help="config file (.py or .json)")
    add_training_options(parser)
    return parser.parse_args(argv)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """The options that ``run_experiments.py`` shares with this tool."""
    add = parser.add_argument
    add("--work-dir", metavar="DIR", help="where checkpoints and logs go")
    add("--resume", action="store_true", help="go on exactly from the last checkpoint of the run")
    add("--seed", type=int, metavar="S", help="of data, augmentation and initial weights")
    add("--deterministic", action="store_true", help="two runs of one seed are bit-equal")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add("--from-scratch", action="store_true", help="start without ImageNet weights")
    add(
        "--cfg-options",
        nargs="+",
        action=KeyValues,
        default={},
        metavar="K=V",
        help="override settings of the config, for instance train_cfg.max_iters=100",
    )


def main(argv: list[str] | None = None) -> None:
    """Parse and train."""
    args = parse_args(argv)
    run(Path(args.config), args)


def run(config: Path, args: argparse.Namespace) -> None:
    """Train ``config`` with the options of :func:`add_training_options`.

    A run that is resumed goes on with the config that it left in its work dir.
    """
    from mmseg.apis.train import train  # after parsing: --help is fast

    work_dir = args.work_dir
    if args.resume and work_dir and (Path(work_dir) / config.name).is_file():
        config = Path(work_dir) / config.name
    cfg = load_config(config, args.cfg_options)
    cfg.work_dir = work_dir or cfg.get("work_dir") or str(Path("work_dirs") / config.stem)
    train(
        cfg,
        device=args.device,
        resume=args.resume,
        from_scratch=args.from_scratch,
        seed=args.seed,
        deterministic=args.deterministic,
    )


if __name__ == "__main__":
    run_main(main)
