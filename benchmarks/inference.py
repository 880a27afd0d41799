"""Measure evaluation: loading, predicting and scoring test images.

The config's test data are taken if they are there, else street scenes are drawn in the format and
at the size of Cityscapes. Without a checkpoint the weights are random: the time is the same.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg.utils import InputError, check_writable
from mmseg.utils.cli import size_in_pixels
from mmseg.utils.config import add_performance_options, chosen_performance

if TYPE_CHECKING:
    from .evaluation import Setting


# Measured, where nothing else is asked for.
IMAGES = {"cuda": 200, "cpu": 20}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the inference benchmark."""
    add = parser.add_argument
    add("--checkpoint", metavar="FILE", help="of the config; default: random weights")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add("--images", type=int, metavar="N", help="how many at most (20 on a CPU, 200 on a GPU)")
    add("--size", type=size_in_pixels, metavar="WxH", help="draw images of this size")
    add("--batch-size", type=int, metavar="B", help="images at once (the config's)")
    add("--workers", type=int, metavar="W", help="loading processes (the config's)")
    add(
        "--photo",
        type=int,
        metavar="SIDE",
        help="instead: the peak memory of tools.predict on one square photo with so many pixels a "
        "side",
    )
    add("--json", metavar="FILE", help="write everything that was measured")
    add(
        "--compare",
        action="store_true",
        help="a plain setting (one image after the other in float32 without workers, BatchNorm "
        "apart, freed memory given back) and a fast one, a process each; the other options change "
        "the fast one",
    )
    add_performance_options(parser, training=False)


def main(args: argparse.Namespace) -> None:
    """Measure, print, and write what ``--json`` asks for."""
    if args.images is not None and args.images < 1:
        raise InputError(f"--images {args.images}: must be at least 1")
    if args.json:
        check_writable(Path(args.json).parent, "--json")
    from mmseg.apis.init_model import select_device  # late: --help is fast

    if args.photo is not None:
        from .photo import measure_photo

        print(measure_photo(args.cfg, args.checkpoint, args.photo, select_device(args.device)))
        return

    from .evaluation import PLAIN, fast_setting, images_to_evaluate, measure_apart
    from .report import write_json

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


def _of_config(cfg: Mapping[str, Any], on_cpu: bool, args: argparse.Namespace) -> "Setting":
    from .evaluation import Setting

    loader = cfg.test_dataloader
    own = {
        "batch_size": loader.get("batch_size", 1),
        "workers": loader.get("num_workers", 0),
        "channels_last": on_cpu,  # as init_model does
    }
    return Setting(**{**own, **_chosen(args)})


def evaluation_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """One column for each result; of two also how many times as much the first takes.

    Args:
        results: heading -> what ``measure_evaluation`` returns, of the same images.
    """
    from mmseg.evaluation.report import align

    from .evaluation import Setting
    from .report import machine_line

    columns = list(results.values())
    first = columns[0]
    sizes = ["x".join(map(str, first[name])) for name in ("image_size", "test_size")]
    head = [
        f"{first['title']}, {first['images']} images of {sizes[0]}, predicted at {sizes[1]}",
        machine_line(first["machine"]),
        *(f"{name}: {Setting(**each['setting']).describe()}" for name, each in results.items()),
    ]
    names = list(dict.fromkeys(name for each in columns for name in each["parts"]))
    costs = [("ms an image", [1e3 * each["seconds"] / each["images"] for each in columns])]
    costs += [(name, [1e3 * each["parts"].get(name, 0) for each in columns]) for name in names]
    kind = next(iter(first["peak_memory_mib"]))
    memory = [(f"peak MiB {kind}", [each["peak_memory_mib"][kind] for each in columns])]
    compared = len(columns) == 2
    header = ("evaluation", *results, *((" / ".join(results),) if compared else ()))
    rates = ["images/s", *(f"{each['images_per_second']:.3g}" for each in columns)]
    scores = ["mIoU", *(f"{each['scores']['mIoU']:.2f}" for each in columns)]
    blank = [""] if compared else []
    return "\n".join(
        [
            *head,
            "",
            align(
                header,
                [rates + blank, *(_row(*each, compared) for each in costs)],
                [_row(*each, compared) for each in memory],
                [scores + blank],
            ),
        ]
    )


def _row(name: str, values: list[float], compared: bool) -> list[str]:
    row = [name, *(f"{value:.1f}" for value in values)]
    return row + ([f"{values[0] / values[1]:.2f}" if values[1] else ""] if compared else [])
