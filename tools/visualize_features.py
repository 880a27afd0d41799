"""Show a model's features: ``python -m tools.visualize_features CONFIG CHECKPOINT --out DIR``."""

import argparse
from pathlib import Path

from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config
from tools.common.options import add_cfg_options
from tools.common.parser import Parser

EPILOG = """
The features are of labelled images of the source (the config's training data) and of the target
(its validation data). DIR gets tsne.png, which shows pixels in a plane by class and by domain, and
pdd.png and pdd.json with the pixel-wise discrimination distance of each class; higher is better.
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.visualize_features", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add("config", help="config file of a run")
    add("checkpoint", help="its checkpoint")
    add("--out", required=True, metavar="DIR", help="folder for pictures and numbers")
    add(
        "--what",
        nargs="+",
        choices=("tsne", "pdd"),
        default=["tsne", "pdd"],
        help="what to make (both); tsne needs scikit-learn",
    )
    count = {"type": int, "metavar": "N"}
    add("--images", default=50, help="images of each domain (%(default)s)", **count)
    add(
        "--pixels",
        default=100,
        help="pixels per class and domain in tsne.png (%(default)s)",
        **count,
    )
    add("--seed", default=0, help="seed of the images and pixels (%(default)s)", **count)
    add("--model", choices=("student", "teacher"), default="student", help="network (student)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add_cfg_options(parser, "test_dataloader.dataset.data_root=DIR")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Draw the features, and print the table of distances."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    from tools.analysis.visualize_features import (  # late, to keep --help fast
        pdd_table,
        visualize_features,
    )

    result = visualize_features(
        cfg,
        args.checkpoint,
        Path(args.out),
        parts=tuple(args.what),
        role=args.model,
        num_images=args.images,
        pixels=args.pixels,
        seed=args.seed,
        device=args.device,
    )
    if "pdd" in args.what:
        print(pdd_table(result))
    print(f"wrote {args.out}")


if __name__ == "__main__":
    run_main(main)
