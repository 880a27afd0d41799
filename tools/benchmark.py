"""Measure speed and memory of training steps: ``python -m tools.benchmark --exp N``.

``--memory`` counts the GPU memory of a step without a GPU, for cards of 12, 24, 48 and 80 GB.
``python -m tools.benchmark data ...`` measures the data loader, ``... inference ...`` evaluation.
"""

import argparse
import sys
from importlib import import_module

from experiments import experiment, experiment_config
from mmseg.utils import InputError
from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config, override
from tools.common.options import add_cfg_options
from tools.common.parser import Parser

# Part -> module of benchmarks that measures it, with ``add_arguments(parser)`` and ``main(args)``,
# where ``args.cfg`` is the config, and ``args.cfgs`` all of them.
PARTS = {"training": "training", "data": "data", "inference": "inference"}


def main(argv: list[str] | None = None) -> None:
    """Read the config, and run the benchmark."""
    argv = sys.argv[1:] if argv is None else argv
    name = argv[0] if argv and argv[0] in PARTS else None
    part = import_module(f"benchmarks.{PARTS[name or 'training']}")
    parser = Parser(
        prog=" ".join(filter(None, ("python -m tools.benchmark", name))),
        description=part.__doc__ if name else __doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--exp",
        type=experiment,
        nargs="+",
        metavar="N",
        help="experiment to measure; several with --memory",
    )
    what.add_argument("--config", metavar="FILE", help="config to measure instead")
    part.add_arguments(parser)
    add_cfg_options(parser, "train_dataloader.num_workers=4")
    args = parser.parse_args(argv[1:] if name else argv)
    if args.config:
        args.cfgs = [load_config(args.config)]
    else:
        args.cfgs = [experiment_config(each) for each in args.exp]
    if len(args.cfgs) > 1 and not vars(args).get("memory"):
        raise InputError("--exp takes several experiments only with --memory: name one")
    for cfg in args.cfgs:
        override(cfg, args.cfg_options)
    args.cfg = args.cfgs[0]
    part.main(args)


if __name__ == "__main__":
    run_main(main)
