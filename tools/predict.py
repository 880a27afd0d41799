"""Segment images and videos: ``python -m tools.predict CONFIG CHECKPOINT INPUT --out-dir DIR``."""

import argparse
import sys
from pathlib import Path

from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config
from tools.common.options import (
    add_cfg_options,
    add_class_weights_option,
    add_performance_options,
    chosen_performance,
)
from tools.common.parser import Parser

KINDS = ("ids", "color", "overlay", "confidence")
EPILOG = """
DIR gets a folder for each kind, with files named like the inputs: 8-bit PNGs of class indices
(ids), class colours (color), colours over the image (overlay), the probability of the predicted
class as grey (confidence). For a video, color and overlay are MP4 files.
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.predict", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add("config", help="config file")
    add("checkpoint", help="checkpoint file")
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image, video, folder (with its subfolders), or pattern in quotes",
    )
    add("--out-dir", required=True, metavar="DIR", help="folder for the predictions")
    add(
        "--what",
        nargs="+",
        choices=KINDS,
        default=["ids", "overlay"],
        help="what to write (ids overlay)",
    )
    add("--opacity", type=float, default=0.5, help="opacity of the colours in an overlay (0.5)")
    add("--batch-size", type=int, default=1, metavar="N", help="images of one size at once (1)")
    add(
        "--mode",
        choices=("config", "whole", "slide"),
        default="config",
        help="resize as the config's test pipeline does, and predict as its test_cfg says (config) "
        "or in one piece (whole); or predict at full resolution in windows (slide)",
    )
    size = {"nargs": 2, "type": int, "metavar": ("H", "W")}
    add("--crop-size", help="size of windows of --mode slide (as in training)", **size)
    add("--stride", help="distance between windows (2/3 of their size)", **size)
    add("--model", choices=("student", "teacher"), default="student", help="network (student)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add_class_weights_option(parser, "on none")
    add(
        "--max-pixels",
        type=int,
        default=2**28,
        metavar="N",
        help="refuse larger images without decoding them (268435456, 16384x16384)",
    )
    add_performance_options(parser, training=False)
    add_cfg_options(parser, "model.segmentor.test_cfg.mode=whole")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Predict, and print the result; return 1 if an input could not be predicted."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    # Late: --help and bad configs are fast.
    from mmseg.engine.performance import Performance
    from mmseg.evaluation.report import class_weights_text
    from tools.prediction.modes import with_mode
    from tools.prediction.predict import PredictionFiles, predict

    files = PredictionFiles(Path(args.out_dir), tuple(args.what), args.opacity)
    report = predict(
        with_mode(cfg, args.mode, args.crop_size, args.stride),
        args.checkpoint,
        args.inputs,
        files,
        role=args.model,
        device=args.device,
        batch_size=args.batch_size,
        performance=Performance(**chosen_performance(args)),
        class_weights=args.class_weights,
        max_pixels=args.max_pixels,
    )
    if weights := class_weights_text(report.class_weight):
        print(f"note: predicted {weights} of the config (--class-weights)")
    kinds = ", ".join(files.kinds)
    print(f"{report.images} images and {report.videos} videos in {files.out_dir}: {kinds}")
    for problem in report.problems:
        print(f"not predicted: {problem}", file=sys.stderr)
    if report.problems:
        print(
            f"error: {len(report.problems)} of {report.inputs} inputs could not be predicted "
            "(listed above)",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    run_main(main)
