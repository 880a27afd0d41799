"""Generate the configs of an experiment and train them: ``python run_experiments.py --exp N``."""

import argparse
import os
import re
import secrets
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmengine.config import Config

from experiments import (
    BASES,
    EXPERIMENTS,
    config_text,
    describe,
    experiment,
    generate_experiment_cfgs,
)
from mmseg.utils import InputError, atomic_path, check_writable
from mmseg.utils.cli import run_main
from tools.common.options import (
    add_choices,
    add_training_options,
    check_options,
    choose_performance,
    training_arguments,
)
from tools.common.parser import Parser

GENERATED = Path(__file__).parent / "configs" / "generated"
TOY_ROOT = Path("data/toy")


@dataclass
class Run:
    """One training of an experiment.

    Attributes:
        config: file of the generated config, or the user's.
        work_dir: folder of its results.
        title: name in comparisons.
        start_from: the run whose last weights it starts from, if any.
    """

    config: Path
    work_dir: Path
    title: str
    start_from: "Run | None" = None

    @property
    def resolved(self) -> Path:
        """Path of the stored config without bases, next to the results.

        Generated configs contain only data; those of the user may import modules, so they keep
        their file type.
        """
        suffix = ".json" if self.config.parent == GENERATED else self.config.suffix
        return self.work_dir / f"{self.config.stem}{suffix}"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    listing = "\n".join(f"  {describe(exp)}" for exp in EXPERIMENTS)
    parser = Parser(
        description=__doc__,
        epilog=f"experiments:\n{listing}\n\n0, synthia-demo and night-demo train on toy data, in "
        "minutes on a CPU.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--exp", type=experiment, metavar="N", help="experiment to run, see below")
    what.add_argument("--config", metavar="FILE", help="train your own config instead")
    add = parser.add_argument
    add("--debug", action="store_true", help="small copy: a minute on a CPU, toy data if need be")
    add(
        "--dry-run",
        action="store_true",
        help="print the config (differences from bases) and exit",
    )
    add("--flat", action="store_true", help="with --dry-run: print the whole config")
    add("--gpus", type=int, default=1, metavar="K", help="train with K processes, one GPU each (1)")
    add_training_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Generate configs, train, and compare the runs if there are several."""
    args = parse_args(argv)
    check_options(args)
    if args.gpus != 1:
        from tools.experiments.launch import check_processes

        check_processes(args.gpus, args.device)
    runs = [own_run(args)] if args.config else planned_runs(args)
    try:
        if args.dry_run:
            for run in runs:
                print_config(run, args)
        else:
            train_all(runs, args)
    finally:
        remove_unused_configs(runs)


def own_run(args: argparse.Namespace) -> Run:
    """Make the run of ``--config``."""
    from mmseg.utils.config import load_config

    config = Path(args.config)
    own = load_config(config).get("work_dir") if not args.debug else None
    default = Path("work_dirs") / (config.stem + ("_debug" if args.debug else ""))
    run = Run(config, Path(args.work_dir or own or default), config.stem)
    # Earlier versions stored any config as .json.
    stored = [path for path in (run.resolved, run.resolved.with_suffix(".json")) if path.is_file()]
    if args.resume and stored:
        run.config = stored[0]
    return run


def planned_runs(args: argparse.Namespace) -> list[Run]:
    """Make the runs of ``--exp``, or with ``--resume`` find those of the newest start.

    Runs that start together share date and suffix; in ``--work-dir`` each has a subfolder. The
    configs of new runs are written.

    Raises:
        InputError: if there is no such experiment, or nothing to resume.
    """
    configs = generate_experiment_cfgs(args.exp, args.seed)
    parent = Path("work_dirs") / f"local-exp{args.exp}"
    names = [config["experiment_name"] + ("_debug" if args.debug else "") for config in configs]
    stamp, token = time.strftime("%y%m%d_%H%M"), secrets.token_hex(3)[:5]
    if args.resume and not args.work_dir:
        stamp, token = newest_start(parent, names[0])
    runs: list[Run] = []
    for config, name in zip(configs, names, strict=True):
        unique = f"{stamp}_{name}_{token}"
        work_dir = parent / unique
        if args.work_dir:
            work_dir = Path(args.work_dir) / (config["title"] if len(configs) > 1 else "")
        stored = stored_config(work_dir) if args.resume else None
        start_from = config.get("start_from")
        start = None if start_from is None else runs[start_from]
        runs.append(Run(stored or GENERATED / f"{unique}.py", work_dir, config["title"], start))
        if not stored:
            check_writable(GENERATED, "a copy of the project that you may write to")
            with atomic_path(runs[-1].config) as temporary:
                text = config_text(config | {"experiment_name": unique}, GENERATED)
                temporary.write_text(text)
    return runs


def stored_config(work_dir: Path) -> Path | None:
    """Find the config that a run has stored in its work dir, next to scores of checkpoints."""
    found = (
        path
        for path in work_dir.glob("*.json")
        if not path.name.startswith(".") and not path.stem.endswith("_eval")
    )
    return next(found, None)


def newest_start(parent: Path, name: str) -> tuple[str, str]:
    """Find date and suffix of the run of this name with the latest checkpoint.

    Raises:
        InputError: if there is no checkpoint.
    """
    pattern = re.compile(rf"(\d{{6}}_\d{{4}})_{re.escape(name)}_([0-9a-f]{{5}})")
    found = [
        (checkpoint.stat().st_mtime, match.groups())
        for path in parent.glob("*")
        if (match := pattern.fullmatch(path.name))
        for checkpoint in path.glob("iter_*.pth")
    ]
    if not found:
        raise InputError(
            f"nothing to resume: no run in {parent} has a checkpoint; run it without --resume"
        )
    return max(found)[1]


def remove_unused_configs(runs: list[Run]) -> None:
    """Delete the generated configs of runs that never started."""
    for run in runs:
        if run.config.parent == GENERATED and not run.resolved.is_file():
            run.config.unlink(missing_ok=True)


def resolve(run: Run, args: argparse.Namespace) -> Config:
    """Load the config of a run without bases; apply ``--debug`` and overrides."""
    from mmseg.utils.config import load_config
    from mmseg.utils.config_file import is_data
    from mmseg.utils.data_config import check_data
    from tools.experiments.shrink import shrink  # late, like all slow imports, to keep --help fast

    cfg = load_config(run.config)
    if args.debug and run.config != run.resolved:
        shrink(cfg, TOY_ROOT)
    add_choices(cfg, args)
    if is_data(run.resolved):
        check_data(cfg.to_dict(), run.config)
    cfg.work_dir = str(run.work_dir)
    return cfg


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
    generated = run.config.parent == GENERATED
    if args.flat or not generated or cfg.to_dict() != unchanged.to_dict():
        print(without_variables(cfg).pretty_text)
    else:
        bases = [os.path.relpath(BASES, folder) for folder in (GENERATED, Path.cwd())]
        print(run.config.read_text().replace(*bases))


def without_variables(cfg: Config) -> Config:
    """Copy a config without the names that only its base files use."""
    kept = {
        name: value
        for name, value in cfg.to_dict().items()
        if name == "tta_pipeline" or not name.endswith(("_pipeline", "_class_weight"))
    }
    return Config(kept, filename=cfg.filename)


def train_all(runs: list[Run], args: argparse.Namespace) -> None:
    """Train the runs one after the other; if there are several, lock and compare them."""
    if len(runs) == 1:
        train(runs[0], args)
        return
    from mmseg.utils.work_dir import locked

    # Each run is locked while it trains; this lock covers the time in between.
    with locked(runs[0].work_dir, "--work-dir", ".chain.lock"):
        for run in runs:
            train(run, args)
        report(runs, args.device)


def train(run: Run, args: argparse.Namespace) -> None:
    """Draw the toy data that the run needs, and train."""
    from demo.toy import TOY_SETS, has_toy_data, make_toy_data
    from mmseg.apis.train import finished, latest_checkpoint
    from mmseg.apis.train import train as train_config

    cfg = resolve(run, args)
    resume = args.resume and (run.start_from is None or any(run.work_dir.glob("iter_*.pth")))
    if resume and finished(cfg):
        print(f"{run.title}: already finished, in {run.work_dir}")
        return
    text = str(cfg.to_dict())
    toy_sets = [name for name in TOY_SETS if str(TOY_ROOT / name) in text]
    if toy_sets and not has_toy_data(TOY_ROOT, toy_sets):
        print(f"drawing toy data in {TOY_ROOT}: {', '.join(toy_sets)}")
        make_toy_data(TOY_ROOT, sets=toy_sets)
    if run.start_from is not None and not resume:
        cfg.load_from = str(latest_checkpoint(run.start_from.work_dir))
    print(f"{run.title}: training {run.resolved}", flush=True)
    # Training stores the config under this name.
    cfg = Config(cfg.to_dict(), cfg_text=text, filename=str(run.resolved))
    choose_performance(cfg, args)
    start = partial(train_config, cfg, resume=resume, **training_arguments(args))
    if args.gpus == 1:
        start()
    else:
        from tools.experiments.launch import launch

        launch(partial(start, launcher="pytorch"), processes=args.gpus, device=args.device)


def report(runs: list[Run], device: str) -> None:
    """Compare the last weights of all runs that started from the same weights."""
    from mmseg.apis.train import latest_checkpoint
    from mmseg.utils.config import load_config
    from tools.experiments.compare import compare

    compared = {
        run.title: (load_config(run.resolved), latest_checkpoint(run.work_dir))
        for run in runs
        if run.start_from is not None
    }
    out_dir = runs[-1].work_dir
    table, picture = compare(compared, out_dir, device)
    iterations = load_config(runs[-1].resolved).train_cfg.max_iters
    print(
        f"\nIoU on the target's validation images. Both started from the same weights, trained on "
        f"the source ({runs[0].title}), and trained {iterations} more iterations.\n\n{table}\n\n"
        f"table: {out_dir / 'comparison.txt'}\npicture: {picture}"
    )


if __name__ == "__main__":
    run_main(main)
