"""Convert student and teacher of a checkpoint from or to the layout of the authors' release."""

import argparse
from pathlib import Path

from mmseg.utils.cli import run_main
from tools.common.parser import Parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.convert_checkpoint", description=__doc__)
    add = parser.add_argument
    add("source", metavar="IN", help="checkpoint of this project or of the release")
    add("target", metavar="OUT", help="file to write")
    add(
        "--to",
        choices=("ours", "published"),
        default="ours",
        help="layout of OUT; published: as mmcv 1.x and the release read it (ours)",
    )
    add(
        "--trust",
        action="store_true",
        help="run code from IN; only for files from sources that you trust",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Convert the checkpoint, and print what was left out."""
    args = parse_args(argv)
    from tools.conversion.checkpoints import convert_checkpoint  # late, to keep --help fast

    lost = convert_checkpoint(args.source, args.target, args.to, args.trust)
    print(f"wrote {args.target}: {Path(args.target).stat().st_size / 1e6:.1f} MB")
    if lost:
        print(f"left out: {', '.join(lost)}")


if __name__ == "__main__":
    run_main(main)
