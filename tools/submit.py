"""Make and check submissions to test servers.

python -m tools.submit dark_zurich CONFIG CHECKPOINT OUT.zip
python -m tools.submit check FILE.zip
"""

import argparse
import sys
from pathlib import Path

from mmseg.utils import InputError
from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config
from tools.common.options import (
    add_cfg_options,
    add_performance_options,
    add_testing_options,
    chosen_performance,
    size_in_pixels,
)
from tools.common.parser import Parser

# Keys of tools.submission.servers.BENCHMARKS, whose import is slow.
BENCHMARKS = {"dark_zurich": "Dark Zurich", "acdc": "ACDC", "cityscapes": "Cityscapes"}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(
        prog="python -m tools.submit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, title in BENCHMARKS.items():
        about = f"predict the test images of {title} and write the zip for its server"
        _add_benchmark(commands.add_parser(name, help=about, description=about), name)
    about = "list the faults of a zip; the exit status is 1 if there are any"
    check = commands.add_parser("check", help=about, description=about)
    check.add_argument("file", help="zip to check")
    check.add_argument(
        "--benchmark",
        choices=tuple(BENCHMARKS),
        help="default: recognised by file names",
    )
    check.add_argument(
        "--images",
        metavar="DIR",
        help="folder of the test images, which give names, number and sizes; default: number and "
        "size of the real test set",
    )
    check.add_argument("--size", type=size_in_pixels, metavar="WxH", help="size of all images")
    return parser.parse_args(argv)


def _add_benchmark(parser: argparse.ArgumentParser, name: str) -> None:
    add = parser.add_argument
    add("config", help="config file")
    add("checkpoint", help="checkpoint file")
    add("out", metavar="OUT.zip", help="zip to write")
    add("--data-root", metavar="DIR", help=f"the data set (the config's, or data/{name})")
    if name != "cityscapes":
        add(
            "--invalid-below",
            type=float,
            default=0.0,
            metavar="P",
            help="mark pixels of lower confidence as 255 in labelTrainIds_invalid (0: none)",
        )
    add_testing_options(parser)
    add_performance_options(parser, training=False)
    add_cfg_options(parser, "test_dataloader.num_workers=4")


def main(argv: list[str] | None = None) -> int:
    """Predict or check, print the result, and return the exit status."""
    args = parse_args(argv)
    return _check(args) if args.command == "check" else _submit(args)


def _submit(args: argparse.Namespace) -> int:
    cfg = load_config(args.config, args.cfg_options)
    from mmseg.engine.performance import Performance
    from tools.submission.submit import submit  # late, to keep --help and bad configs fast

    report = submit(
        args.command,
        cfg,
        args.checkpoint,
        args.out,
        role=args.model,
        aug_test=args.aug_test,
        device=args.device,
        data_root=args.data_root,
        invalid_below=getattr(args, "invalid_below", 0.0),
        batch_size=args.batch_size,
        performance=Performance(**chosen_performance(args)),
        class_weights=args.class_weights,
    )
    print(f"wrote {args.out}\n{report.text()}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from tools.submission.check import check_submission  # late, to keep --help fast

    if args.images and args.size:
        raise InputError("--images gives the sizes already: leave out --size")
    images = Path(args.images) if args.images else None
    report = check_submission(args.file, args.benchmark, images, args.size)
    for line in report.errors:
        print(f"wrong: {line}", file=sys.stderr)
    print(report.text())
    return 1 if report.errors else 0


if __name__ == "__main__":
    run_main(main)
