"""Export a network for other programs: ``python -m tools.export CONFIG CHECKPOINT OUT.onnx``."""

import argparse
from pathlib import Path

from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config
from tools.common.options import add_cfg_options
from tools.common.parser import Parser

EPILOG = """
OUT.onnx is for ONNX Runtime and others, OUT.pt2 for torch.export.load. The network takes RGB images
with values of 0 to 255, in one piece, and returns logits and classes of their size. The file also
holds the names and colours of the classes, and how images are resized before.
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.export", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add("config", help="config file")
    add("checkpoint", help="checkpoint file")
    add("target", metavar="OUT", help="file to write: OUT.onnx or OUT.pt2")
    add("--model", choices=("student", "teacher"), default="student", help="network (student)")
    add(
        "--size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="export for one image of this size (any number and size)",
    )
    add_cfg_options(parser, "model.segmentor.test_cfg.mode=whole")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Export the network, and print how it compares with torch."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    # Late: --help and bad configs are fast.
    from tools.exporting.export import export_network
    from tools.exporting.metadata import test_cfg_of

    size = tuple(args.size) if args.size else None
    for agreement in export_network(cfg, args.checkpoint, args.target, args.model, size):
        print(agreement)
    if test_cfg_of(cfg)["mode"] == "slide":
        print("note: the config predicts in windows, the exported network whole images")
    print(f"wrote {args.target}: {Path(args.target).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_main(main)
