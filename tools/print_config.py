"""Print a config as it is used: without bases, translated if it is one of mmseg 0.x."""

import argparse

from mmseg.utils.cli import Parser, run_main
from mmseg.utils.config import load_config
from mmseg.utils.options import add_cfg_options


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(prog="python -m tools.print_config", description=__doc__)
    parser.add_argument("config", metavar="CONFIG", help="config file (.py or .json)")
    add_cfg_options(parser, "model.alpha=0.99")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Parse, print; what is printed is a config file itself."""
    args = parse_args(argv)
    print(load_config(args.config, args.cfg_options).pretty_text.rstrip())


if __name__ == "__main__":
    run_main(main)
