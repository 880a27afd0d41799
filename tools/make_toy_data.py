"""Draw a small data set for trying the project: ``python tools/make_toy_data.py data/toy``."""

import sys
from pathlib import Path

# If this file is run, Python searches its folder for modules instead of the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmseg.utils.cli import run_main
from tools.common.parser import Parser


def main(argv: list[str] | None = None) -> int:
    """Draw the data, and print the result."""
    parser = Parser(
        description="Draw street scenes and store them like GTA, Cityscapes, SYNTHIA, Dark Zurich "
        "and ACDC, ready for training. It takes a minute or two on two cores. Complete sets are "
        "kept."
    )
    parser.add_argument("root", nargs="?", default="data/toy", help="folder (%(default)s)")
    add = parser.add_argument
    which = "gta, cityscapes, synthia, dark_zurich, acdc (all)"
    add("--sets", nargs="+", metavar="SET", help=which)
    count = {"type": int, "metavar": "N"}
    add("--source", default=400, help="images of each source (%(default)s)", **count)
    add("--target-train", default=300, help="images of each target (%(default)s)", **count)
    add("--val", default=60, help="validation images of each target (%(default)s)", **count)
    add("--test", default=10, help="test images of Dark Zurich and ACDC (%(default)s)", **count)
    add("--seed", default=0, help="seed of all random numbers (%(default)s)", **count)
    add("--nproc", default=2, help="number of processes (%(default)s)", **count)
    arguments = parser.parse_args(argv)
    if arguments.nproc < 1:
        parser.error(f"--nproc must be at least 1, got {arguments.nproc}")

    # Imported late to keep --help fast.
    from demo.toy import TOY_SETS, ToySettings, make_toy_data

    settings = ToySettings(
        arguments.source, arguments.target_train, arguments.val, arguments.test, arguments.seed
    )
    sets = arguments.sets or tuple(TOY_SETS)
    made = make_toy_data(arguments.root, settings, arguments.nproc, sets)
    print(f"{arguments.root}: {'made' if made else 'already complete, nothing to do'}")
    return 0


if __name__ == "__main__":
    run_main(main)
