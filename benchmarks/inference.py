"""Measure evaluation: loading, predicting and scoring test images.

The config's test data are used if they exist; otherwise street scenes are drawn in the format and
size of Cityscapes. Without a checkpoint the weights are random, which takes the same time.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmseg.utils import InputError, check_writable
from tools.common.options import add_performance_options, chosen_performance, size_in_pixels

# Default number of images.
IMAGES = {"cuda": 200, "cpu": 20}


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of an evaluation.

    Attributes:
        batch_size: number of images that are predicted at once.
        workers: number of loading processes; with 0, loading and predicting alternate.
        precision, compile, channels_last: see :class:`mmseg.engine.performance.Performance`.
        fold_batch_norm: whether BatchNorm is folded into the convolutions before it.
        keep_memory: whether a CPU keeps the memory of an image's feature maps for the next image.
    """

    batch_size: int = 1
    workers: int = 0
    precision: str = "fp32"
    compile: bool = False
    channels_last: bool = False
    fold_batch_norm: bool = True
    keep_memory: bool = True

    def __post_init__(self) -> None:
        for option, value, least in (
            ("batch-size", self.batch_size, 1),
            ("workers", self.workers, 0),
        ):
            if value < least:
                raise InputError(f"--{option} {value}: must be at least {least}")

    def describe(self) -> str:
        """Describe the settings in words."""
        words = [f"batch {self.batch_size}", f"{self.workers} workers", self.precision]
        words += ["compiled"] if self.compile else []
        words += ["channels last"] if self.channels_last else []
        words += ["BatchNorm folded"] if self.fold_batch_norm else []
        words += [] if self.keep_memory else ["freed memory given back"]
        return ", ".join(words)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the inference benchmark."""
    add = parser.add_argument
    add("--checkpoint", metavar="FILE", help="checkpoint of the model (default: random weights)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add("--images", type=int, metavar="N", help="number of images (20 on a CPU, 200 on a GPU)")
    add("--size", type=size_in_pixels, metavar="WxH", help="draw images of this size")
    add("--batch-size", type=int, metavar="B", help="images at once (default: the config's)")
    add("--workers", type=int, metavar="W", help="loading processes (default: the config's)")
    add(
        "--photo",
        type=int,
        metavar="SIDE",
        help="measure the peak memory of tools.predict on one photo of SIDE x SIDE pixels instead",
    )
    add("--json", metavar="FILE", help="write all measurements to this file")
    add(
        "--compare",
        action="store_true",
        help="compare a plain setting (one image after the other in float32 without workers, "
        "BatchNorm not folded, freed memory given back) with a fast one, each in a separate "
        "process; the other options change the fast one",
    )
    add_performance_options(parser, training=False)


def main(args: argparse.Namespace) -> None:
    """Measure, print, and write what ``--json`` asks for."""
    if args.images is not None and args.images < 1:
        raise InputError(f"--images {args.images}: must be at least 1")
    if args.json:
        check_writable(Path(args.json).parent, "--json")
    from mmseg.apis.init_model import select_device  # late, to keep --help fast

    if args.photo is not None:
        from .evaluation import measure_photo

        print(measure_photo(args.cfg, args.checkpoint, args.photo, select_device(args.device)))
        return

    from .evaluation import PLAIN, fast_setting, images_to_evaluate, measure_apart
    from .report import evaluation_table, write_json

    device = select_device(args.device)
    with images_to_evaluate(args.cfg, args.images or IMAGES[device.type], args.size) as cfg:
        if args.compare:
            settings = {"plain": PLAIN, "fast": replace(fast_setting(device.type), **_chosen(args))}
        else:
            settings = {"setting": _of_config(cfg, device.type == "cpu", args)}
        results = {
            name: measure_apart(cfg, args.checkpoint, setting, device)
            for name, setting in settings.items()
        }
    print(evaluation_table(results))
    if args.json:
        only = next(iter(results.values()))
        write_json(args.json, {"benchmark": "inference", **results} if args.compare else only)


def _chosen(args: argparse.Namespace) -> dict[str, Any]:
    chosen = {"batch_size": args.batch_size, "workers": args.workers, **chosen_performance(args)}
    return {name: value for name, value in chosen.items() if value is not None}


def _of_config(
    cfg: Mapping[str, Any], on_cpu: bool, args: argparse.Namespace
) -> EvaluationSettings:
    loader = cfg.test_dataloader
    own = {
        "batch_size": loader.get("batch_size", 1),
        "workers": loader.get("num_workers", 0),
        "channels_last": on_cpu,  # as init_model does
    }
    return EvaluationSettings(**{**own, **_chosen(args)})
