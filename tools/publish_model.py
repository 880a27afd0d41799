"""Reduce a checkpoint to one network, in a file whose name has a part of its hash."""

import argparse
from pathlib import Path

from mmseg.utils.cli import run_main
from tools.common.parser import Parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.publish_model", description=__doc__)
    add = parser.add_argument
    add("source", metavar="IN", help="checkpoint")
    add("prefix", metavar="OUT_PREFIX", help="writes OUT_PREFIX-<8 digits of its SHA-256>.pth")
    add("--model", choices=("student", "teacher"), default="student", help="network (student)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Write the model, and print the sizes of both files."""
    args = parse_args(argv)
    from tools.conversion.checkpoints import publish_model  # late, to keep --help fast

    target = publish_model(args.source, args.prefix, args.model)
    before, after = (path.stat().st_size / 1e6 for path in (Path(args.source), target))
    print(f"wrote {target}: {after:.1f} MB, from {before:.1f} MB")


if __name__ == "__main__":
    run_main(main)
