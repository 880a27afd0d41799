"""Measure training steps of a config's method on synthetic images."""

import argparse
from pathlib import Path
from typing import Any

from mmseg.utils import check_writable
from mmseg.utils.legacy_config import check_trainable

from .settings import ITERATIONS, PLAIN, Settings, Switches, Workload

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the training benchmark."""
    defaults = Workload()
    add = parser.add_argument
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add("--crop", type=int, default=defaults.crop, metavar="PX", help="side of the crops (640)")
    add("--batch", type=int, default=defaults.batch, metavar="B", help="images a domain (2)")
    add("--iters", type=int, metavar="K", help="measured steps (50, on a CPU 10)")
    add("--warmup", type=int, default=defaults.warmup, metavar="K", help="steps before them (3)")
    add(
        "--start-contrast",
        type=int,
        default=defaults.start_contrast,
        metavar="T",
        help="first measured step with contrastive losses (0: all of them, as in most of training)",
    )
    add("--json", metavar="FILE", help="write everything that was measured")
    add(
        "--compare",
        action="store_true",
        help=f"the plain setting ({Settings(**PLAIN).describe()}) and that of --fast, "
        "a process each; the options below change the fast one",
    )
    group = parser.add_argument_group("speed and memory (default: the config's)")
    group.add_argument("--precision", choices=PRECISIONS, help="of the networks")
    for switch, text in (
        ("compile", "torch.compile"),
        ("channels-last", "memory format of convolutions"),
        ("activation-checkpointing", "less memory for more time"),
    ):
        group.add_argument(f"--{switch}", action=argparse.BooleanOptionalAction, help=text)


def main(args: argparse.Namespace) -> None:
    """Measure, print, and write what ``--json`` asks for."""
    if args.json:
        check_writable(Path(args.json).parent, "--json")
    from mmseg.apis.init_model import select_device  # late: --help is fast
    from mmseg.engine.performance import Performance, fast_switches

    from .compare import compare
    from .measure import measure_training
    from .report import training_table, write_json

    device = select_device(args.device)
    iters = ITERATIONS[device.type] if args.iters is None else args.iters
    workload = Workload(args.crop, args.batch, args.start_contrast, iters, args.warmup)
    check_trainable(args.cfg)
    Performance.of(args.cfg)  # complains of unknown settings
    if args.compare:
        settings = {
            "plain": Settings.of(args.cfg, PLAIN),
            "fast": Settings.of(args.cfg, fast_switches(device.type), chosen(args)),
        }
        result = compare(args.cfg, workload, settings, device)
        columns = {name: result[name] for name in settings}
    else:
        settings = Settings.of(args.cfg, chosen(args))
        result = measure_training(args.cfg, workload, settings, device)
        columns = {settings.describe(): result}
    print(training_table(columns))
    if args.json:
        write_json(args.json, result)


def chosen(args: argparse.Namespace) -> Switches:
    """What the command line says of the settings."""
    names: tuple[str, ...] = ("precision", "compile", "channels_last", "activation_checkpointing")
    values: dict[str, Any] = {name: getattr(args, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
