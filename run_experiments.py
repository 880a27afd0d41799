"""Generate the configs of an experiment and train them: ``python run_experiments.py --exp N``."""

import argparse
import os
import re
import secrets
import time
from pathlib import Path

from mmengine.config import Config

from experiments import (
    BASES,
    EXPERIMENTS,
    FOUNDATION_MODELS,
    METHODS,
    TASKS,
    config_text,
    describe,
    experiment,
    find_row,
    generate_experiment_cfgs,
    short_title,
)
from mmseg.utils import InputError, atomic_path, check_writable
from mmseg.utils.cli import run_main
from tools.common.grid_options import add_grid_options, check_grid_options
from tools.common.options import add_training_options, check_options
from tools.common.parser import Parser
from tools.experiments.grid import train_grid
from tools.experiments.runs import Run, resolve, train, write_report
from tools.experiments.summary import compare_tasks, name_failures
from tools.experiments.variants import share_of_run, suffix

GENERATED = Path(__file__).parent / "configs" / "generated"
#: Folder of the tables of several runs that were started together.
GRIDS = Path("work_dirs/grids")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    listing = "\n".join(f"  {describe(exp)}" for exp in EXPERIMENTS)
    parser = Parser(
        description=__doc__,
        epilog=f"experiments:\n{listing}\n\n0 and those with -demo in their name "
        f"train on drawn streets, in minutes on a CPU. Their methods: {', '.join(METHODS)}.\n\n"
        "METHOD-BACKBONE-TASK, such as sepico-dinov2-l-gta2cs, trains a foundation model at full "
        "resolution:\n"
        "  METHOD    sepico, daformer, mic (without feature distance)\n"
        f"  BACKBONE  {', '.join(FOUNDATION_MODELS)}\n"
        "  TASK      gta2cs, syn2cs, cs2acdc, cs2dz\n"
        "in crops of 640 pixels (24 GB) or, with -1024 at the end, of 1024 pixels (80 GB).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    exp = "experiments to run, see below"
    what.add_argument("--exp", nargs="+", type=experiment, metavar="N", help=exp)
    what.add_argument("--config", metavar="FILE", help="train your own config instead")
    add = parser.add_argument
    add("--methods", nargs="+", metavar="M", help="methods to compare in a demo, see below")
    add("--seeds", nargs="+", type=int, metavar="S", help="train everything with each seed")
    add("--source-only", action="store_true", help="the baseline: train without the target")
    add(
        "--short",
        type=share_of_run,
        metavar="SHARE",
        help="train this share of the iterations, for instance 0.1; schedules, evaluations and "
        "starts of losses scale with it",
    )
    add("--debug", action="store_true", help="small copy: a minute on a CPU, toy data if need be")
    add(
        "--dry-run",
        action="store_true",
        help="print the config (differences from bases) and exit",
    )
    add("--flat", action="store_true", help="with --dry-run: print the whole config")
    add("--gpus", type=int, default=1, metavar="K", help="train with K processes, one GPU each (1)")
    add_grid_options(parser)
    add_training_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Generate configs, train, and compare the runs if there are several.

    Returns:
        The exit status: 1 if one of several runs has failed.
    """
    args = parse_args(argv)
    check_options(args)
    check_grid_options(args)
    if args.submit is not None:
        from tools.experiments.submit import check_cluster

        check_cluster(args.submit)
    elif args.gpus != 1:
        from tools.experiments.launch import check_processes

        check_processes(args.gpus, args.device)
    runs, folder = own_run(args) if args.config else planned_runs(args)
    try:
        if args.dry_run:
            for run in runs:
                print_config(run, args)
            return 0
        return train_all(runs, folder, args)
    finally:
        remove_unused_configs(runs)


def own_run(args: argparse.Namespace) -> tuple[list[Run], Path]:
    """Make the run of ``--config``, and return it and its folder like :func:`planned_runs`."""
    from mmseg.utils.config import load_config

    config = Path(args.config)
    variant = suffix(args)
    own = load_config(config).get("work_dir") if not variant else None
    default = Path("work_dirs") / (config.stem + variant)
    run = Run(config, Path(args.work_dir or own or default), config.stem)
    # Earlier versions stored any config as .json.
    stored = [path for path in (run.resolved, run.resolved.with_suffix(".json")) if path.is_file()]
    if args.resume and stored:
        run.config = stored[0]
    return [run], run.work_dir


def planned_runs(args: argparse.Namespace) -> tuple[list[Run], Path]:
    """Make the runs of ``--exp``, or with ``--resume`` find those of the newest start.

    Runs that start together share date and suffix; in ``--work-dir`` each has a subfolder. The
    configs of new runs are written.

    Returns:
        The runs, and the folder of their tables.

    Raises:
        InputError: if there is no such experiment or method, or nothing to resume.
    """
    chains = [
        (exp, seed, generate_experiment_cfgs(exp, seed, args.methods))
        for exp in args.exp
        for seed in args.seeds or [args.seed]
    ]
    demos = [exp for exp in args.exp if find_row(exp).stages]
    if args.source_only and demos:
        raise InputError(f"--source-only: --exp {demos[0]} trains on the source only by itself")
    variant = suffix(args)
    stamp, token = time.strftime("%y%m%d_%H%M"), secrets.token_hex(3)[:5]
    if args.resume and not args.work_dir:
        names = [
            _parent(exp) / f"{configs[0]['experiment_name']}{variant}" for exp, _, configs in chains
        ]
        stamp, token = newest_start(*names)
    runs: list[Run] = []
    for exp, seed, configs in chains:
        chain: list[Run] = []
        for config in configs:
            unique = f"{stamp}_{config['experiment_name']}{variant}_{token}"
            work_dir = _parent(exp) / unique
            if args.work_dir:
                subfolders = [f"exp {exp}"] * (len(args.exp) > 1)
                subfolders += [f"seed {seed}"] * bool(args.seeds)
                subfolders += [config["title"]] * (len(configs) > 1)
                work_dir = Path(args.work_dir, *subfolders)
            stored = stored_config(work_dir) if args.resume else None
            if not stored:
                stored = GENERATED / f"{unique}.py"
                write_config(config | {"experiment_name": unique}, stored)
            title = METHODS["source_only"].title if args.source_only else config["title"]
            run = Run(stored, work_dir, title, stored.parent == GENERATED)
            run.seed = seed if args.seeds else None
            if config.get("start_from") is not None:
                run.start_from = chain[config["start_from"]]
            task = TASKS[find_row(exp).task]
            run.task = f"{task.source} to {task.target}"
            run.video = None if title == METHODS["source_only"].title else task.video
            if len(args.exp) > 1:
                run.title = f"{short_title(exp, config['title'])} ({exp})"
            chain.append(run)
        runs += chain
    own = Path(args.work_dir or GRIDS / f"{stamp}_{token}")
    return runs, runs[-1].work_dir if len(chains) == 1 else own


def _parent(exp: int | str) -> Path:
    return Path("work_dirs") / f"local-exp{exp}"


def write_config(config: dict, path: Path) -> None:
    """Write a generated config."""
    check_writable(GENERATED, "a copy of the project that you may write to")
    with atomic_path(path) as temporary:
        temporary.write_text(config_text(config, GENERATED))


def stored_config(work_dir: Path) -> Path | None:
    """Find the config that a run has stored in its work dir, next to scores of checkpoints."""
    found = (
        path
        for path in work_dir.glob("*.json")
        if not path.name.startswith(".") and not path.stem.endswith("_eval")
    )
    return next(found, None)


def newest_start(*runs: Path) -> tuple[str, str]:
    """Find date and suffix of the start of these runs with the latest checkpoint.

    Of several runs, a start of several is preferred.

    Args:
        runs: folders of the runs, whose names lack date and suffix.

    Raises:
        InputError: if there is no checkpoint.
    """
    found = [
        (checkpoint.stat().st_mtime, match.groups())
        for run in runs
        for path in run.parent.glob("*")
        if (
            match := re.fullmatch(
                rf"(\d{{6}}_\d{{4}})_{re.escape(run.name)}_([0-9a-f]{{5}})", path.name
            )
        )
        for checkpoint in path.glob("iter_*.pth")
    ]
    if not found:
        folders = ", ".join(dict.fromkeys(str(run.parent) for run in runs))
        raise InputError(
            f"nothing to resume: no run in {folders} has a checkpoint; run it without --resume"
        )
    together = [each for each in found if (GRIDS / "_".join(each[1])).is_dir()]
    return max((together if len(runs) > 1 else []) or found)[1]


def remove_unused_configs(runs: list[Run]) -> None:
    """Delete the generated configs of runs that never started."""
    for run in runs:
        if run.generated and not run.resolved.is_file():
            run.config.unlink(missing_ok=True)


def print_config(run: Run, args: argparse.Namespace) -> None:
    """Print a config that can be stored in a file in this folder and trained.

    The short config inherits from ``configs/_base_``. If options change it, or if it is the
    user's, the whole config is printed.
    """
    from mmseg.utils.config import load_config

    cfg = resolve(run, args)
    print(f"# {run.config.stem}")
    unchanged = load_config(run.config)
    unchanged.work_dir = cfg.work_dir
    if args.flat or not run.generated or cfg.to_dict() != unchanged.to_dict():
        print(without_variables(cfg).pretty_text)
    else:
        bases = [os.path.relpath(BASES, folder) for folder in (GENERATED, Path.cwd())]
        print(run.config.read_text().replace(*bases))


def without_variables(cfg: Config) -> Config:
    """Copy a config without its variables, which have no effect."""
    from mmseg.config_check import top_level_settings

    known = {*top_level_settings(), "custom_imports"}
    kept = {name: value for name, value in cfg.to_dict().items() if name in known}
    return Config(kept, filename=cfg.filename)


def train_all(runs: list[Run], folder: Path, args: argparse.Namespace) -> int:
    """Train the runs; if there are several, lock and compare them.

    Args:
        runs: the runs.
        folder: folder of their tables.
        args: the command line.

    Returns:
        The exit status: 1 if one of several runs has failed.
    """
    from mmseg.utils.work_dir import locked

    if len(runs) == 1 and args.parallel is None and args.submit is None:
        train(runs[0], args, args.resume)
        return 0
    # Each run is locked while it trains; this lock covers the time in between.
    with locked(folder, "--work-dir", ".chain.lock"):
        failures = train_grid(runs, folder, args)
        try:
            compare_tasks(runs, failures, folder, METHODS["source_only"].title, args.device)
            if trained := [run for run in runs if run not in failures]:
                write_report(trained, folder / "comparison.html")
        finally:
            name_failures(failures, len(runs))
    return int(bool(failures))


if __name__ == "__main__":
    run_main(main)
