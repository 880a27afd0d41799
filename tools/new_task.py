"""Set up a task on your images: ``python -m tools.new_task SOURCE TARGET --name mine``."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# If this file is run, Python searches its folder for modules instead of the root of the project.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments import METHODS, NETWORKS
from mmseg.utils import InputError, atomic_path
from mmseg.utils.cli import run_main
from tools.common.parser import Parser

if TYPE_CHECKING:
    from tools.tasks.inspect import Findings


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(
        prog="python -m tools.new_task",
        description="Look at two folders of images, write a config that adapts a network from the "
        "labelled SOURCE to the unlabelled TARGET, and count the classes of the source.",
    )
    add = parser.add_argument
    add("source", help="folder of labelled images: images and label maps of the same names")
    add("target", help="folder of images to adapt to")
    add("--name", required=True, help="name of the task: NAME.py is written")
    add("--val", metavar="DIR", help="labelled images of the target; default: its split val")
    add("--classes", nargs="+", metavar="C", help="names of the classes, in the order of values")
    add("--images", metavar="DIR", help="images of the source, relative to SOURCE")
    add("--labels", metavar="DIR", help="label maps of the source, relative to SOURCE")
    add(
        "--network",
        choices=NETWORKS,
        default="daformer",
        metavar="N",
        help=f"{', '.join(NETWORKS)} (%(default)s)",
    )
    add("--backbone", metavar="NAME", help="network of timm to use as backbone; heads are fitted")
    add("--weights", metavar="FILE", help="file of the weights of --backbone")
    methods = [name for name in METHODS if not name.startswith("sepico_dark")]
    add(
        "--method",
        choices=methods,
        default="sepico",
        metavar="M",
        help=f"{', '.join(methods)} (%(default)s)",
    )
    add("--sample", type=int, default=200, metavar="N", help="files to look at (%(default)s)")
    add("--nproc", type=int, default=4, help="number of processes (%(default)s)")
    args = parser.parse_args(argv)
    if not re.fullmatch(r"\w[\w-]*", args.name):
        parser.error(f"--name {args.name}: use letters, digits, - and _")
    if min(args.sample, args.nproc) < 1:
        parser.error("--sample and --nproc must be at least 1")
    if args.weights and not args.backbone:
        parser.error("--weights needs --backbone, the network that the file is of")
    return args


def main(argv: list[str] | None = None) -> None:
    """Look at the folders, print what was found, write the config and the statistics."""
    args = parse_args(argv)
    path = Path(f"{args.name}.py")
    if path.exists():
        raise InputError(f"{path} exists: remove it, or choose another --name")
    from tools.tasks.inspect import Wishes, inspect  # late: --help is fast

    wishes = {key: value for key, value in vars(args).items() if key != "name"}
    found = inspect(Wishes(**wishes))
    notes = write(found, path)
    from tools.tasks.page import page

    print(page(found, path, notes))


def write(found: "Findings", path: Path) -> list[str]:
    """Write the statistics and the config, which is checked as training checks it.

    If anything fails, no config is left.

    Returns:
        What is missing before training can start, a line each.
    """
    from mmengine.registry import init_default_scope

    from mmseg.apis.dry_run import check_together
    from mmseg.apis.init_model import pretrained_files
    from mmseg.config_check import check_config
    from mmseg.models.backbones.pretrained import check_is_there
    from mmseg.utils.config import load_config
    from tools.tasks.write import config_text

    notes = []

    with atomic_path(path) as temporary:
        temporary.write_text(config_text(found.task, path.parent.resolve()), encoding="utf-8")
        init_default_scope("mmseg")
        cfg = load_config(temporary)
        check_config(cfg)
        check_together(cfg)
        if found.task.sampling is not None:
            found.statistics.write()
    for file in pretrained_files(cfg.model):
        try:
            check_is_there(file)
        except InputError as error:
            notes.append(str(error))
    return notes


if __name__ == "__main__":
    run_main(main)
