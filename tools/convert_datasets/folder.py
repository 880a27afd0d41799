"""Write label maps of other values or colours as class indices, as ``classes.json`` says.

``python -m tools.convert_datasets.folder data/mine``
"""

import argparse
import os
import sys
from pathlib import Path

# If this file is run, Python searches its folder for modules instead of the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmseg.utils import InputError
from mmseg.utils.cli import run_main
from tools.common.parser import Parser
from tools.convert_datasets import failures, print_findings


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(
        prog="python -m tools.convert_datasets.folder",
        description="Write the label maps of a folder, whose pixels its classes.json describes, as "
        "PNGs of class indices, for speed and for other tools: labels/a.png as "
        "labels_indices/a.png. Existing files are kept.",
    )
    add = parser.add_argument
    add("data_root", help="folder with a file classes.json")
    add("--labels", metavar="DIR", help="its label maps, relative to DATA_ROOT; default: find them")
    add("--nproc", type=int, default=4, help="number of processes (%(default)s)")
    args = parser.parse_args(argv)
    if args.nproc < 1:
        parser.error(f"--nproc must be at least 1, got {args.nproc}")
    return args


def main(argv: list[str] | None = None) -> None:
    """Convert the label maps of all splits."""
    args = parse_args(argv)
    # Imported late to keep --help fast.
    from tools.convert_datasets.conversion.folder import convert_folder
    from tools.convert_datasets.label_folders import find_folders

    found = find_folders(args.data_root, labels=args.labels).values()
    labelled = {(f.seg_map_path, f.seg_map_suffix): f for f in found if f.seg_map_path is not None}
    if not labelled:
        raise InputError(f"no label maps fit the images of {args.data_root}: name them by --labels")
    for folders in labelled.values():
        report, written = convert_folder(folders, args.nproc)
        print_findings(report)
        if report.num_failed:
            raise InputError(
                f"{failures(report)}; the others are converted: correct the listed files, or "
                "classes.json, and run this again"
            )
        print(
            f"{report.num_files} label maps are ready in {os.path.join(args.data_root, written)}: "
            f'set seg_map_path="{written}" and labels="indices" of the data set'
        )


if __name__ == "__main__":
    run_main(main)
