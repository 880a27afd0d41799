"""Count the classes of labelled data: ``python -m tools.class_stats --config CONFIG``."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# If this file is run, Python searches its folder for modules instead of the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmseg.utils import InputError
from mmseg.utils.cli import run_main
from tools.common.parser import Parser
from tools.convert_datasets import failures, print_findings

if TYPE_CHECKING:
    from mmseg.datasets import BaseSegDataset
    from tools.convert_datasets.conversion import ClassStatistics


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(
        prog="python -m tools.class_stats",
        description="Write the statistics for rare class sampling to the root of a labelled data "
        "set, and print the share of each class. The data set is the source of a config, or a "
        "folder with a file classes.json, or with label maps of class indices.",
    )
    add = parser.add_argument
    add("data_root", nargs="?", help="folder of the data set")
    add("--labels", metavar="DIR", help="its label maps, relative to DATA_ROOT; default: find them")
    add("--suffix", default=".png", help="suffix of their names, with --labels (%(default)s)")
    add(
        "--num-classes",
        type=int,
        metavar="N",
        help="values are 0 to N-1, or 255: no class; default: as DATA_ROOT/classes.json says",
    )
    add("--config", help="count the source of this config instead")
    add(
        "--class-weights",
        type=float,
        metavar="STD",
        help="also print class weights for a config, with this standard deviation",
    )
    add("--nproc", type=int, default=4, help="number of processes (%(default)s)")
    args = parser.parse_args(argv)
    folder = (args.data_root, args.labels, args.num_classes)
    if not (folder == (None, None, None) if args.config else all(folder) or _is_described(args)):
        parser.error(
            "give --config alone, or DATA_ROOT with --labels and --num-classes or with a file "
            "classes.json"
        )
    if args.nproc < 1:
        parser.error(f"--nproc must be at least 1, got {args.nproc}")
    if args.class_weights is not None and args.class_weights <= 0:
        parser.error(f"--class-weights must be above 0, got {args.class_weights}")
    return args


def _is_described(args: argparse.Namespace) -> bool:
    """Tell whether the data root has a file of classes, and no other number of them is given."""
    path = Path(args.data_root or "", "classes.json")
    return args.data_root is not None and args.num_classes is None and path.is_file()


def main(argv: list[str] | None = None) -> None:
    """Count the classes, write the statistics, and print them."""
    args = parse_args(argv)
    dataset = None
    if args.config is not None:
        dataset = config_dataset(args.config)
    elif args.labels is None:
        dataset = found_dataset(args.data_root)
    statistics, names, root = count(args, dataset)
    report = statistics.report
    print_findings(report)
    if report.num_failed:
        raise InputError(
            f"{failures(report)} and no statistics were written: correct the listed files and run "
            "this again"
        )
    print_frequencies(statistics.frequencies, names)
    print_values(statistics.values)
    if args.class_weights is not None:
        print_weights(statistics.frequencies, names, args.class_weights)
    print(f"the statistics of {report.num_files} label maps are ready in {root}")
    warn_of_absent_classes(statistics, names, root, dataset)


def config_dataset(config: str) -> "BaseSegDataset":
    """Build the labelled data set that a config trains on."""
    # Imported late, so that --help and errors in configs are fast.
    from mmseg.utils.config import load_config

    cfg = load_config(config)

    from mmseg.config_check import check_config
    from tools.convert_datasets.conversion import train_source

    check_config(cfg, ["train_dataloader"])
    return train_source(cfg)


def found_dataset(data_root: str) -> "BaseSegDataset":
    """Build the data set of the labelled images in a folder with a file of classes."""
    from mmseg.datasets import FolderDataset
    from tools.convert_datasets.label_folders import labelled_folders

    folders = labelled_folders(data_root)
    print(f"images: {folders.describe()}; label maps: {folders.describe_labels()}")
    return FolderDataset(**folders.arguments())


def count(
    args: argparse.Namespace, dataset: "BaseSegDataset | None"
) -> tuple["ClassStatistics", Sequence[str], str]:
    """Count the classes; return statistics, names of the classes and data root."""
    from mmseg.datasets.folder import coding_of, read_classes_file
    from mmseg.datasets.occurring_classes import check_several
    from tools.convert_datasets.conversion import count_dataset, count_folder

    if dataset is not None:
        names: Sequence[str] = dataset.metainfo["classes"]
        check_several(names)
        return count_dataset(dataset, args.nproc), names, dataset.data_root
    if args.num_classes is None:
        metainfo, coding = read_classes_file(Path(args.data_root, "classes.json"))
        names, how = metainfo["classes"], coding_of(**metainfo, coding=coding)
    else:
        names, how = [""] * args.num_classes, None
    check_several(names)
    arguments = (args.data_root, args.labels, args.suffix, len(names), args.nproc, how)
    return count_folder(*arguments), names, args.data_root


def print_frequencies(frequencies: Mapping[int, float], names: Sequence[str]) -> None:
    """Print the share of the pixels of each class in percent, in the order of the classes."""
    width = max(len(name) for name in ("class", *names))
    print(f"{'class':>{width + 4}}  share of pixels (%)")
    for label, name in enumerate(names):
        print(f"{name:>{width}} {label:3}  {100 * frequencies.get(label, 0):.4f}")


def print_values(values: Mapping[int, int]) -> None:
    """Print the values found, and the share of pixels without class."""
    ignored = values.get(255, 0) / max(sum(values.values()), 1)
    print(f"values found: {', '.join(map(str, values))}; without class (255): {ignored:.2%}")


def warn_of_absent_classes(
    statistics: "ClassStatistics", names: Sequence[str], root: str, dataset: "BaseSegDataset | None"
) -> None:
    """Print the classes without pixels; raise an error if training would refuse the data."""
    from mmseg.datasets.occurring_classes import (
        absence_message,
        absent_from,
        check_occurring,
        is_too_few,
    )

    if dataset is not None:
        text = check_occurring(dataset, statistics.values)
    else:
        missing = absent_from(names, statistics.values)
        text = absence_message(f"no label map of {root}", names, missing, statistics.values)
        if is_too_few(names, statistics.values):
            raise InputError(text)
        text = text if missing else None
    if text is not None:
        print(f"warning: {text}", file=sys.stderr)


def print_weights(frequencies: Mapping[int, float], names: Sequence[str], std: float) -> None:
    """Print the list ``class_weight`` of a config."""
    absent = [f"{i} {name}".strip() for i, name in enumerate(names) if not frequencies.get(i)]
    if absent:
        raise InputError(
            f"class {', '.join(absent)}: no pixels, so there are no class weights; the statistics "
            "are written"
        )
    from tools.convert_datasets.conversion.statistics import class_weights

    weights = class_weights([frequencies[i] for i in range(len(names))], std)
    print(f"class_weight=[{', '.join(f'{weight:.6f}' for weight in weights)}]")


if __name__ == "__main__":
    run_main(main)
