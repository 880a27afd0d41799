"""Measure training steps of a config's method on synthetic images: settings and command line."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mmseg.utils import InputError, check_writable
from mmseg.utils.legacy_config import check_trainable

# Default number of measured steps.
ITERATIONS = {"cuda": 50, "cpu": 10}
# The plain setting of `--compare`: fields of TrainingSettings.
PLAIN: dict[str, Any] = {
    "precision": "fp32",
    "compile": False,
    "channels_last": False,
    "activation_checkpointing": False,
    "attention": "math",
    "optimizer": "unfused",
}


@dataclass(frozen=True)
class Workload:
    """Sizes and repetitions of a measurement.

    Attributes:
        crop: side of the crops in pixels; targets are twice as wide before they are cropped.
        batch: number of source images, and of target images, in a step.
        start_contrast: first measured iteration with contrastive losses.
        iters: number of measured iterations.
        warmup: number of iterations before them.
        seed: seed of weights, images and augmentation.
    """

    crop: int = 640
    batch: int = 2
    start_contrast: int = 0
    iters: int = ITERATIONS["cuda"]
    warmup: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"crop": 32, "batch": 1, "start_contrast": 0, "iters": 1, "warmup": 0}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                option = name.replace("_", "-")
                raise InputError(f"--{option} {getattr(self, name)}: must be at least {minimum}")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training step.

    Attributes:
        precision, compile, channels_last, activation_checkpointing: see
            :class:`mmseg.engine.performance.Performance`.
        attention: "math": product, softmax, product; "auto": the kernel that torch chooses.
        optimizer: "config": as the config says (fused); "unfused": parameter by parameter.
    """

    precision: str = "fp32"
    compile: bool = False
    channels_last: bool = False
    activation_checkpointing: bool = False
    attention: Literal["auto", "math"] = "auto"
    optimizer: Literal["config", "unfused"] = "config"

    @classmethod
    def of(cls, cfg: Mapping[str, Any], *changes: Mapping[str, Any]) -> "TrainingSettings":
        """Return the settings of a training config with changes; later changes win."""
        settings = dict(cfg.get("performance") or {})
        for change in changes:
            settings |= change
        return cls(**settings)

    def performance(self) -> dict[str, Any]:
        """Return the settings as the ``performance`` of a config."""
        return {
            key: value
            for key, value in asdict(self).items()
            if key not in ("attention", "optimizer")
        }

    def describe(self) -> str:
        """Describe the settings in words."""
        words = [self.precision, "compiled" if self.compile else "eager"]
        words += ["channels last"] if self.channels_last else []
        words += ["activation checkpointing"] if self.activation_checkpointing else []
        words += ["maths attention"] if self.attention == "math" else []
        words += ["unfused optimizer"] if self.optimizer == "unfused" else []
        return ", ".join(words)


PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the training benchmark."""
    add = parser.add_argument
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add("--crop", type=int, metavar="PX", help="side of the crops (640; --memory: the config's)")
    add("--batch", type=int, metavar="B", help="images of each domain (2; --memory: the config's)")
    add("--iters", type=int, metavar="K", help="steps to measure (50, on a CPU 10)")
    add("--warmup", type=int, default=Workload.warmup, metavar="K", help="warm-up steps (3)")
    add(
        "--start-contrast",
        type=int,
        default=Workload.start_contrast,
        metavar="T",
        help="first measured step with contrastive losses (0: all of them, as in most of training)",
    )
    add("--json", metavar="FILE", help="write all measurements to this file")
    add(
        "--compare",
        action="store_true",
        help=f"compare the plain setting ({TrainingSettings(**PLAIN).describe()}) with that of "
        "--fast, each in a separate process; the options below change the fast one",
    )
    add(
        "--memory",
        action="store_true",
        help="count the GPU memory of a step instead, without a GPU, for any number of experiments",
    )
    group = parser.add_argument_group("speed and memory (default: the config's)")
    group.add_argument("--precision", "--amp", choices=PRECISIONS, help="precision of the networks")
    for switch, text in (
        ("compile", "compile with torch.compile"),
        ("channels-last", "use this memory format for convolutions"),
        ("activation-checkpointing", "save memory, take more time"),
    ):
        group.add_argument(f"--{switch}", action=argparse.BooleanOptionalAction, help=text)


def main(args: argparse.Namespace) -> None:
    """Measure, print, and write what ``--json`` asks for."""
    if args.json:
        check_writable(Path(args.json).parent, "--json")
    if args.memory:
        from .cards import main as count_memory  # late, to keep --help fast

        count_memory(args)
        return
    from mmseg.apis.init_model import select_device  # late, to keep --help fast
    from mmseg.engine.performance import Performance
    from tools.common.options import fast_switches

    from .measure import compare, measure_training
    from .report import training_table, write_json

    device = select_device(args.device)
    iters = ITERATIONS[device.type] if args.iters is None else args.iters
    crop = Workload.crop if args.crop is None else args.crop
    batch = Workload.batch if args.batch is None else args.batch
    workload = Workload(crop, batch, args.start_contrast, iters, args.warmup)
    check_trainable(args.cfg)
    Performance.of(args.cfg)  # refuses unknown settings
    if args.compare:
        settings = {
            "plain": TrainingSettings.of(args.cfg, PLAIN),
            "fast": TrainingSettings.of(args.cfg, fast_switches(device.type), chosen(args)),
        }
        result = compare(args.cfg, workload, settings, device)
        columns = {name: result[name] for name in settings}
    else:
        settings = TrainingSettings.of(args.cfg, chosen(args))
        result = measure_training(args.cfg, workload, settings, device)
        columns = {settings.describe(): result}
    print(training_table(columns))
    if args.json:
        write_json(args.json, result)


def chosen(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line chooses."""
    names: tuple[str, ...] = ("precision", "compile", "channels_last", "activation_checkpointing")
    values: dict[str, Any] = {name: getattr(args, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
