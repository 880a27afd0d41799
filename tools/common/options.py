"""Command line options that several tools share."""

import argparse
import functools
import importlib.util
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from mmseg.utils import InputError
from mmseg.utils.config import override

#: Choices of ``--log``: the visualizer's back ends, and the packages that they need.
LOG_BACKENDS = {
    "wandb": ("WandbBackend", "wandb"),
    "mlflow": ("MLflowBackend", "mlflow-skinny"),
    "tensorboard": ("TensorboardVisBackend", "tensorboard"),
}


def size_in_pixels(text: str) -> tuple[int, int]:
    """Parse WIDTHxHEIGHT, as the type of an option."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, got {text!r}")
    return int(match[1]), int(match[2])


class KeyValues(DictAction):
    """Parse KEY=VALUE pairs into a dict; reject malformed ones."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        """Add the pairs to the option's dict."""
        for value in values:
            key, equals, _ = value.partition("=")
            if not (equals and all(key.split("."))):
                raise argparse.ArgumentError(self, f"expected KEY=VALUE, got {value!r}")
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, ValueError) as error:  # brackets that do not match
            raise argparse.ArgumentError(self, str(error)) from error
        except RecursionError as error:  # a comma in brackets within a text
            raise argparse.ArgumentError(
                self, f"brackets around a comma are for a list alone: {' '.join(values)!r}"
            ) from error


class Settings(KeyValues):
    """Parse KEY=VALUE pairs whose keys are settings of a config."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        """Add the pairs to the option's dict.

        Raises:
            InputError: if a key begins with something else than a setting.
        """
        from mmseg.config_check import check_override  # late: --help is fast

        super().__call__(parser, namespace, values, option_string)
        for key in getattr(namespace, self.dest):
            check_override(key)


def add_cfg_options(parser: argparse.ArgumentParser, example: str, *names: str) -> None:
    """Add ``--cfg-options K=V ...``, for :func:`load_config` or :func:`override`.

    Args:
        parser: the parser, changed in place.
        example: example of a setting to override.
        names: other names of the option.
    """
    parser.add_argument(
        "--cfg-options",
        *names,
        nargs="+",
        action=Settings,
        default={},
        metavar="K=V",
        help=f"override settings of the config, for instance {example}",
    )


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a training run, for ``tools.train`` and ``run_experiments.py``."""
    add = parser.add_argument
    add("--work-dir", metavar="DIR", help="folder for checkpoints and logs")
    add("--resume", action="store_true", help="continue the run exactly from its last checkpoint")
    add("--load-from", metavar="FILE", help="start a run with the student of this checkpoint")
    add("--no-validate", action="store_true", help="train without evaluation")
    add(
        "--no-teacher-validation",
        action="store_true",
        help="evaluate the student alone, which takes half the time",
    )
    add("--seed", type=int, metavar="S", help="seed of data, augmentation and weights")
    add("--deterministic", action="store_true", help="make runs with one seed bit-equal")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add("--from-scratch", action="store_true", help="start without ImageNet weights")
    add(
        "--log",
        nargs="+",
        choices=LOG_BACKENDS,
        default=[],
        metavar="SERVICE",
        help="log scores, losses and panels also to wandb (Weights & Biases), mlflow, tensorboard",
    )
    add_performance_options(parser)
    add_cfg_options(parser, "train_cfg.max_iters=100")


def check_options(args: argparse.Namespace) -> None:
    """Check the options of :func:`add_training_options` before anything is read or written.

    Raises:
        InputError: if two of them contradict each other, the file to load does not exist, or a
            package is missing.
    """
    for service in args.log:
        package = LOG_BACKENDS[service][1]
        if importlib.util.find_spec(service) is None:
            raise InputError(f"--log {service} needs a package: pip install {package}")
    if not args.load_from:
        return
    if args.resume:
        raise InputError(
            "--resume continues a run, --load-from starts one with other weights: leave out one"
        )
    if not Path(args.load_from).is_file():
        raise InputError(f"--load-from {args.load_from}: no such file")


def add_choices(cfg: Config, args: argparse.Namespace) -> None:
    """Set in ``cfg`` the options that neither belong to a single start nor affect only speed."""
    override(cfg, args.cfg_options)
    if args.load_from:
        cfg.load_from = args.load_from
    if args.no_validate:
        cfg.validate = False
    if args.no_teacher_validation and cfg.get("val_cfg"):
        cfg.val_cfg.teacher = False
    if args.log:
        _log_to(cfg, [LOG_BACKENDS[service][0] for service in args.log])


def _log_to(cfg: Config, names: Sequence[str]) -> None:
    """Add back ends to the visualizer of a config, and a hook that logs details to them."""
    visualizer = dict(cfg.get("visualizer") or {"type": "Visualizer"})
    backends = list(visualizer.get("vis_backends") or [{"type": "LocalVisBackend"}])
    there = [each["type"] for each in backends]
    backends += [{"type": name} for name in names if name not in there]
    cfg.visualizer = visualizer | {"vis_backends": backends}
    hooks = dict(cfg.get("default_hooks") or {})
    before = (hooks.get("details") or {}).get("backends", [])
    both = list(dict.fromkeys([*before, *names]))
    cfg.default_hooks = hooks | {"details": {"type": "DetailedLogHook", "backends": both}}


def training_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of ``mmseg.apis.train.train`` that :func:`add_training_options` sets."""
    return {
        name: getattr(args, name) for name in ("device", "from_scratch", "seed", "deterministic")
    }


def add_testing_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--aug-test``, ``--model``, ``--device`` and so on for tools that use a test set."""
    add = parser.add_argument
    add("--aug-test", action="store_true", help="average over six scales and two flips")
    add("--model", choices=("student", "teacher"), default="student", help="network (student)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (auto)")
    add(
        "--batch-size",
        type=int,
        metavar="B",
        help="images that a GPU predicts at once; changes no result (the config's; 1 with "
        "--aug-test)",
    )
    add_class_weights_option(parser, "on Dark Zurich without --aug-test")


def add_class_weights_option(parser: argparse.ArgumentParser, automatic: str) -> None:
    """Add ``--class-weights``.

    Args:
        parser: the parser, changed in place.
        automatic: images for which the weights are used by default.
    """
    parser.add_argument(
        "--class-weights",
        choices=("auto", "on", "off"),
        default="auto",
        help="test-time class weights of a night model: on all images (on), on none (off), or as "
        f"published: {automatic} (auto)",
    )


def add_performance_options(parser: argparse.ArgumentParser, training: bool = True) -> None:
    """Add ``--amp``, ``--compile`` and so on, see :class:`mmseg.engine.performance.Performance`.

    Args:
        parser: the parser, changed in place.
        training: whether to add options that are only for training.
    """
    group = parser.add_argument_group("speed and memory")
    add = group.add_argument
    add(
        "--fast",
        action="store_true",
        help="--amp bf16 --compile --channels-last; on a CPU --channels-last, and --amp bf16 where "
        "the processor has instructions for it",
    )
    add(
        "--amp",
        nargs="?",
        const="bf16",
        choices=("bf16", "fp16"),
        dest="precision",
        help="mixed precision (bf16); losses, contrast and statistics stay in float32"
        if training
        else "mixed precision (bf16); without it float32, however the model was trained",
    )
    add(
        "--tf32",
        action="store_const",
        const="tf32",
        dest="precision",
        help="compute products in TensorFloat-32",
    )
    add("--compile", action="store_true", help="use torch.compile: takes minutes, then faster")
    always = "" if training else "; on a CPU always"
    add("--channels-last", action="store_true", help=f"memory format of convolutions{always}")
    if training:
        add("--activation-checkpointing", action="store_true", help="save memory, take more time")


def choose_performance(cfg: Config, args: argparse.Namespace) -> None:
    """Add the options of :func:`add_performance_options` to ``cfg.performance``."""
    cfg.performance = {**(cfg.get("performance") or {}), **chosen_performance(args)}


def chosen_performance(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of ``Performance`` that :func:`add_performance_options` sets."""
    chosen: dict[str, Any] = {}
    if args.fast:
        import torch  # late: --help is fast

        on_cpu = args.device == "cpu" or not torch.cuda.is_available()
        chosen |= fast_switches("cpu" if on_cpu else "cuda")
    if args.precision:
        chosen["precision"] = args.precision
    for switch in ("compile", "channels_last", "activation_checkpointing"):
        if getattr(args, switch, False):
            chosen[switch] = True
    return chosen


def fast_switches(device_type: str) -> dict[str, Any]:
    """Return the fields of ``Performance`` that ``--fast`` sets on ``cuda`` or ``cpu``."""
    if device_type == "cuda":
        return {"precision": "bf16", "compile": True, "channels_last": True}
    return {"precision": "bf16" if cpu_multiplies_bf16() else "fp32", "channels_last": True}


@functools.cache
def cpu_multiplies_bf16() -> bool:
    """Check whether bf16 is faster than fp32 on this CPU, by matrix products (half a second).

    With special instructions (AVX512_BF16, AMX) it is several times faster, without them slower.
    """
    import torch

    times: dict[torch.dtype, float] = {}
    deadline = time.perf_counter() + 0.2
    # In turn, so that other work on the machine slows both.
    for dtype in [torch.float32, torch.bfloat16] * 12:
        if len(times) == 2 and time.perf_counter() > deadline:
            break
        matrix = torch.ones(512, 512, dtype=dtype)
        start = time.perf_counter()
        matrix @ matrix
        times[dtype] = min(times.get(dtype, math.inf), time.perf_counter() - start)
    return times[torch.bfloat16] < times[torch.float32]
