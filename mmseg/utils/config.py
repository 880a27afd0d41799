"""Reading configs."""

import argparse
import json
import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config, DictAction
from mmengine.fileio import dump

from .config_file import is_data, read_config
from .data_config import check_data
from .errors import InputError
from .legacy_config import is_legacy, translate


class KeyValues(DictAction):
    """The values ``K=V`` of an option as a dict; what is none is a usage error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        """Parse ``values``."""
        for value in values:
            key, equals, _ = value.partition("=")
            if not (equals and all(key.split("."))):
                raise argparse.ArgumentError(self, f"expected KEY=VALUE, got {value!r}")
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, ValueError) as error:  # brackets that do not match
            raise argparse.ArgumentError(self, str(error)) from error


def add_cfg_options(parser: argparse.ArgumentParser, example: str, *names: str) -> None:
    """Add ``--cfg-options K=V ...``, for :func:`load_config` or :func:`override`.

    Args:
        example: of a setting that users of this tool override.
        names: other names of the option.
    """
    parser.add_argument(
        "--cfg-options",
        *names,
        nargs="+",
        action=KeyValues,
        default={},
        metavar="K=V",
        help=f"override settings of the config, for instance {example}",
    )


def load_config(path: str | os.PathLike, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a config and its ``_base_`` files.

    A ``.py`` config is a program, which is run. A ``.json`` or ``.yaml`` config is data: it runs
    nothing, and names registered classes only, also by ``overrides``.

    The ``segmentor`` and the ``data_preprocessor`` of a method may stand at the top level, so that
    files in ``configs/_base_`` can each bring a part; they become parts of ``model``.

    A config in the schema of mmseg 0.x, as the published checkpoints have, is translated; its
    ``not_for_training`` lists why it can be tested but not trained, if that is so.

    Args:
        path: of the config.
        overrides: dotted key -> value, as ``--cfg-options`` gives them.

    Raises:
        InputError: there is no such file, it is not a config or has no translation, it is data and
            asks for more, or an override does not apply.
    """
    cfg = read_config(path)
    if is_legacy(cfg):
        cfg = Config(_translated(cfg, path), filename=str(path))
    model = cfg.get("model")
    for part in ("segmentor", "data_preprocessor"):
        if part in cfg and isinstance(model, dict) and part not in model:
            model[part] = cfg.pop(part)
    _use_tuples(cfg)
    override(cfg, overrides or {})
    return cfg


def without_variables(cfg: Config) -> Config:
    """A copy of a config without the names that only its base files use."""
    kept = {
        name: value
        for name, value in cfg.to_dict().items()
        if name == "tta_pipeline" or not name.endswith(("_pipeline", "_class_weight"))
    }
    return Config(kept, filename=cfg.filename)


def _translated(cfg: Config, path: str | os.PathLike) -> dict[str, Any]:
    try:
        translated, reasons = translate(cfg.to_dict())
    except InputError as error:
        raise InputError(f"{path}, a config of mmseg 0.x: {error}") from error
    return translated | ({"not_for_training": reasons} if reasons else {})


def add_testing_options(parser: argparse.ArgumentParser) -> None:
    """``--aug-test``, ``--model``, ``--device`` and so on of tools that take a test set."""
    add = parser.add_argument
    add("--aug-test", action="store_true", help="average over six scales and two flips")
    add("--model", choices=("student", "teacher"), default="student", help="which one (student)")
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
        automatic: where the weights are used by default.
    """
    parser.add_argument(
        "--class-weights",
        choices=("auto", "on", "off"),
        default="auto",
        help="test-time class weights of a night model: on all images (on), on none (off), or as "
        f"published: {automatic} (auto)",
    )


def add_performance_options(parser: argparse.ArgumentParser, training: bool = True) -> None:
    """``--amp``, ``--compile`` and so on, see :class:`mmseg.engine.performance.Performance`.

    Args:
        training: whether to offer what is of use in training alone.
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
        help="products in TensorFloat-32",
    )
    add("--compile", action="store_true", help="torch.compile: minutes to start, then faster")
    always = "" if training else "; on a CPU always"
    add("--channels-last", action="store_true", help=f"memory format of convolutions{always}")
    if training:
        add("--activation-checkpointing", action="store_true", help="less memory for more time")


def choose_performance(cfg: Config, args: argparse.Namespace) -> None:
    """Add what the options of :func:`add_performance_options` choose to ``cfg.performance``."""
    cfg.performance = {**(cfg.get("performance") or {}), **chosen_performance(args)}


def chosen_performance(args: argparse.Namespace) -> dict[str, Any]:
    """What the options of :func:`add_performance_options` choose: fields of ``Performance``."""
    chosen: dict[str, Any] = {}
    if args.fast:
        import torch  # late: --help is fast

        from mmseg.engine.performance import fast_switches

        on_cpu = args.device == "cpu" or not torch.cuda.is_available()
        chosen |= fast_switches("cpu" if on_cpu else "cuda")
    if args.precision:
        chosen["precision"] = args.precision
    for switch in ("compile", "channels_last", "activation_checkpointing"):
        if getattr(args, switch, False):
            chosen[switch] = True
    return chosen


def override(cfg: Config, overrides: Mapping[str, Any]) -> None:
    """Set dotted keys of ``cfg`` in place, as ``--cfg-options`` gives them.

    Raises:
        InputError: the config has no place for one of them, or it is data and now asks for more.
    """
    try:
        cfg.merge_from_dict(dict(overrides))
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        reason = textwrap.shorten(str(error.args[0] if error.args else error), 200)
        raise InputError(f"--cfg-options do not fit the config: {reason}") from error
    if is_data(cfg.filename):
        check_data(cfg.to_dict(), cfg.filename)


def store_config(cfg: Config, path: str | os.PathLike) -> None:
    """Write a config in such a way that :func:`load_config` reads the same settings."""
    if Path(path).suffix in (".yaml", ".yml"):  # mmengine writes tuples as tags of Python
        settings = json.loads(dump(cfg.to_dict(), file_format="json"))
        Path(path).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    else:
        cfg.dump(path)


# mmcv's RandomFlip asks for a list of probabilities; classes and colours are handed on as they are.
_KEPT_LISTS = ("prob", "metainfo")


def _use_tuples(node: Any) -> Any:
    """Turn lists of numbers, such as sizes, into tuples, which transforms ask for.

    JSON has no tuples, and ``[512, 512]`` is a natural way to write a size.

    Args:
        node: a config, changed in place, or a part of one.
    """
    if isinstance(node, Config | dict):
        for key, value in node.items():
            if isinstance(value, dict | list | tuple) and key not in _KEPT_LISTS:
                node[key] = _use_tuples(value)
        return node
    if isinstance(node, list | tuple):
        numbers = bool(node) and all(isinstance(value, int | float) for value in node)
        return tuple(node) if numbers else type(node)(_use_tuples(value) for value in node)
    return node
