"""Draw a small data set to try everything out: ``python tools/make_toy_data.py data/toy``."""

import argparse
import sys
from pathlib import Path

# Run as a file, Python looks for modules beside it instead of in the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmseg.utils.cli import run_main


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, make the data, say what is there."""
    parser = argparse.ArgumentParser(
        description="Draw two domains of street scenes, stored like GTA (source) and Cityscapes "
        "(target), ready for training: about half a minute on two cores. A set that is complete "
        "is kept."
    )
    parser.add_argument("root", nargs="?", default="data/toy", help="(default: %(default)s)")
    count = {"type": int, "metavar": "N"}
    parser.add_argument("--source", default=400, help="source images (%(default)s)", **count)
    parser.add_argument("--target-train", default=300, help="target images (%(default)s)", **count)
    parser.add_argument("--val", default=60, help="validation images (%(default)s)", **count)
    parser.add_argument("--seed", default=0, help="seed of all chance (%(default)s)", **count)
    parser.add_argument("--nproc", default=2, help="processes (%(default)s)", **count)
    arguments = parser.parse_args(argv)
    if arguments.nproc < 1:
        parser.error(f"--nproc must be at least 1, got {arguments.nproc}")

    # Imported late, so that --help is quick.
    from mmseg.datasets.toy import ToySettings, make_toy_data

    settings = ToySettings(arguments.source, arguments.target_train, arguments.val, arguments.seed)
    made = make_toy_data(arguments.root, settings, arguments.nproc)
    print(f"{arguments.root}: {'made' if made else 'already complete, nothing to do'}")
    return 0


if __name__ == "__main__":
    run_main(main)
