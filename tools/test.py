"""Test a checkpoint: ``python -m tools.test CONFIG CHECKPOINT --eval mIoU``.

Several data sets in one call: ``--dataset cityscapes dark_zurich night_driving``. On several GPUs:
``torchrun --nproc_per_node=K -m tools.test ... --launcher pytorch``.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg.utils import InputError
from mmseg.utils.cli import run_main
from mmseg.utils.config import load_config
from tools.common.options import (
    KeyValues,
    add_cfg_options,
    add_performance_options,
    add_testing_options,
    chosen_performance,
)
from tools.common.parser import Parser, print_on_local_rank0

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmseg.apis import Outputs
    from mmseg.datasets.evaluation_sets import EvaluationSet

METRICS = ("mIoU", "mDice", "mFscore", "cityscapes")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(prog="python -m tools.test", description=__doc__)
    add = parser.add_argument
    add("config", help="config file")
    add("checkpoint", help="checkpoint file")
    add(
        "--eval",
        nargs="+",
        default=[],
        metavar="METRIC",
        help="score the predictions: mIoU (always), mDice, mFscore (with precision and "
        "recall), cityscapes (by cityscapesscripts, on the label ids of Cityscapes)",
    )
    add(
        "--classes",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="average over these classes, too: those that matter, or that the images have",
    )
    add(
        "--dataset",
        nargs="+",
        default=[],
        metavar="NAME",
        help="test on these instead of the config's test data: cityscapes, dark_zurich, "
        "night_driving, bdd100k_night, acdc, or config files with a test_dataloader",
    )
    add(
        "--data-root",
        nargs="+",
        action="extend",
        type=_name_and_folder,
        default=[],
        metavar="NAME=DIR",
        help="where a data set of --dataset is; default: the config's folder or data/NAME",
    )
    add("--table", metavar="FILE", help="write the scores of every class as a text table")
    add("--out", metavar="DIR", help="write raw predictions: 8-bit PNGs of train ids")
    add("--format-only", action="store_true", help="write predictions to imgfile_prefix")
    add(
        "--eval-options",
        nargs="+",
        action=KeyValues,
        default={},
        metavar="K=V",
        help="for --format-only: imgfile_prefix=DIR; to_label_id=True writes label ids of "
        "Cityscapes instead of train ids",
    )
    add(
        "--palette",
        nargs="?",
        const="own",
        choices=("own", "cityscapes"),
        help="colours of pictures and palette PNGs: those of the data set (own) or of Cityscapes; "
        "--out then writes palette PNGs, as --format-only does",
    )
    add("--show-dir", metavar="DIR", help="write overlays of predictions on the images")
    add("--opacity", type=float, default=0.5, help="opacity of the colours in --show-dir (0.5)")
    add_testing_options(parser)
    add("--work-dir", metavar="DIR", help="folder of the scores; default: that of the checkpoint")
    add(
        "--launcher",
        choices=("none", "pytorch", "slurm"),
        default="none",
        help="program that started the processes that share the images: torchrun or srun",
    )
    add("--gpu-collect", action="store_true", help="no effect: results are collected without it")
    add("--tmpdir", metavar="DIR", help="no effect: results are collected without files")
    add_performance_options(parser, training=False)
    add_cfg_options(parser, "test_dataloader.num_workers=4", "--options")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Test the checkpoint, and print the scores."""
    args = parse_args(argv)
    with print_on_local_rank0(args.launcher):
        cfg = load_config(args.config, args.cfg_options)
        outputs = _outputs(args)
        sets = evaluation_sets(cfg, args.dataset, dict(args.data_root), bool(args.eval))
        from mmseg.apis import evaluate_on, report  # late, to keep --help and bad configs fast
        from mmseg.engine.performance import Performance

        results = evaluate_on(
            sets,
            cfg,
            args.checkpoint,
            outputs,
            role=args.model,
            aug_test=args.aug_test,
            device=args.device,
            work_dir=args.work_dir,
            batch_size=args.batch_size,
            performance=Performance(**chosen_performance(args)),
            launcher=args.launcher,
            class_weights=args.class_weights,
        )
    if not results:  # only rank 0 prints
        return
    _print_notes(args, results)
    if not args.dataset and sets[0].cfg is not cfg:
        print("note: the test images have no public labels; these are the validation images")
    if outputs.metrics:
        print(report(results))
    for path in (outputs.table, *outputs.folders, outputs.formatted, outputs.show_dir):
        if path:
            print(f"wrote {path}")


def _print_notes(args: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    from mmseg.evaluation.report import class_weights_text

    for result in results:
        if weights := class_weights_text(result["class_weight"]):
            print(f"note: {result['name']} is predicted {weights} (--class-weights)")
    for option in ("gpu_collect", "tmpdir"):
        if getattr(args, option):
            print(f"note: --{option.replace('_', '-')} has no effect")


def _outputs(args: argparse.Namespace) -> "Outputs":
    formatted, label_ids = _formatted(args)
    unknown = [name for name in args.eval if name not in METRICS]
    if unknown:
        raise InputError(f"--eval {unknown[0]}: unknown metric; choose from {', '.join(METRICS)}")
    if args.out and Path(args.out).suffix in (".pkl", ".pickle"):
        raise InputError(f"--out {args.out}: predictions are written as PNGs; name a folder")
    if not (args.eval or args.out or formatted or args.show_dir):
        raise InputError(
            "nothing to do: choose at least one of --eval, --out, --show-dir, --format-only"
        )
    from mmseg.apis import Outputs

    return Outputs(
        metrics=tuple(args.eval),
        classes=tuple(args.classes),
        folders=(Path(args.out),) if args.out else (),
        formatted=formatted,
        label_ids=label_ids,
        palette=args.palette,
        show_dir=Path(args.show_dir) if args.show_dir else None,
        opacity=args.opacity,
        table=Path(args.table) if args.table else None,
    )


def evaluation_sets(
    cfg: "Config",
    names: Sequence[str] = (),
    data_roots: Mapping[str, str] | None = None,
    labelled: bool = False,
) -> list["EvaluationSet"]:
    """Return the data sets of ``--dataset`` and ``--data-root``; default: that of the config.

    Args:
        cfg: config of the model, which is not changed.
        names: names in ``EVALUATION_SETS``, see :func:`~mmseg.datasets.evaluation_sets.named_set`,
            or config files whose ``test_dataloader`` is used.
        data_roots: name (of a config file: its stem) -> folder of the data set.
        labelled: whether the default must have labels if the config has such data.

    Raises:
        InputError: if a name is unknown or given twice, or a folder does not exist.
    """
    from mmseg.datasets.evaluation_sets import (
        EVALUATION_SETS,
        named_set,
        own_labelled_set,
        own_set,
    )

    if not names and not data_roots:
        return [own_labelled_set(cfg) if labelled else own_set(cfg)]
    sets = [
        named_set(cfg, name) if name in EVALUATION_SETS else _set_of_file(name) for name in names
    ]
    for values in ([each.name for each in sets], [each.tag for each in sets]):
        if twice := [value for value in values if values.count(value) > 1]:
            raise InputError(f"--dataset names {twice[0]} twice")
    for name, root in (data_roots or {}).items():
        found = [each for each in sets if each.name == name]
        if not found:
            raise InputError(f"--data-root {name}={root}: --dataset does not name {name}")
        found[0].cfg.test_dataloader.dataset.data_root = root
    _check_data_roots(sets)
    return sets


def _set_of_file(path: str) -> "EvaluationSet":
    from mmseg.datasets.evaluation_sets import EVALUATION_SETS, EvaluationSet

    if not Path(path).is_file():
        known = ", ".join(EVALUATION_SETS)
        raise InputError(f"--dataset {path}: unknown; choose from {known} or name a config file")
    other = load_config(path)
    if not isinstance(other.get("test_dataloader"), dict):
        raise InputError(f"--dataset {path}: this config has no test_dataloader")
    return EvaluationSet(Path(path).stem, Path(path).stem, other)


def _check_data_roots(sets: Sequence["EvaluationSet"]) -> None:
    roots = {each.name: each.cfg.test_dataloader.dataset.get("data_root") for each in sets}
    missing = {name: root for name, root in roots.items() if root and not Path(root).is_dir()}
    if missing:
        folders = ", ".join(f"{name} ({root})" for name, root in missing.items())
        raise InputError(
            f"no data for {folders}: link the folders there or give others with "
            f"{' '.join(f'--data-root {name}=DIR' for name in missing)}"
        )


def _name_and_folder(text: str) -> tuple[str, str]:
    name, _, folder = text.partition("=")
    if not (name and folder):
        raise argparse.ArgumentTypeError(f"expected NAME=DIR, got {text!r}")
    return name, folder


def _formatted(args: argparse.Namespace) -> tuple[Path | None, bool]:
    """Return the folder of ``--format-only``, and whether to write label ids."""
    options = dict(args.eval_options)
    prefix, label_ids = options.pop("imgfile_prefix", None), options.pop("to_label_id", False)
    if options:
        raise InputError(
            f"--eval-options {next(iter(options))}: unknown; choose from imgfile_prefix=DIR and "
            "to_label_id=True"
        )
    if not isinstance(label_ids, bool):
        raise InputError(f"to_label_id must be True or False, not {label_ids}")
    if prefix == "":
        raise InputError("imgfile_prefix= names no folder: give imgfile_prefix=DIR")
    if args.format_only and args.eval:
        raise InputError("--format-only reads no labels: leave out --eval, or use --out with it")
    if args.format_only != bool(prefix):
        raise InputError("--format-only and --eval-options imgfile_prefix=DIR belong together")
    if label_ids and not prefix:
        raise InputError("--eval-options to_label_id is for --format-only")
    if prefix and not isinstance(prefix, str):  # parsed as a number or a list
        raise InputError(f"imgfile_prefix must be one folder, not {prefix}: write ./ before it")
    return (Path(prefix) if prefix else None), label_ids


if __name__ == "__main__":
    run_main(main)
