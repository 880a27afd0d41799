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
    METHODS,
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
        f"minutes on a CPU. Their methods: {', '.join(METHODS)}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--exp", type=experiment, metavar="N", help="experiment to run, see below")
    what.add_argument("--config", metavar="FILE", help="train your own config instead")
    add = parser.add_argument
    add("--methods", nargs="+", metavar="M", help="methods to compare in a demo, see below")
    add("--seeds", nargs="+", type=int, metavar="S", help="train with each of these seeds")
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
    check_seeds(args)
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


def check_seeds(args: argparse.Namespace) -> None:
    """Check the options that make several runs of one experiment.

    Raises:
        InputError: if they contradict others, or a seed is repeated.
    """
    if args.config and (args.methods or args.seeds):
        raise InputError("--methods and --seeds need --exp: a config is one run")
    if args.seeds and args.seed is not None:
        raise InputError("--seeds replaces --seed: leave out one")
    if args.seeds and len(set(args.seeds)) < len(args.seeds):
        raise InputError("--seeds has the same seed twice")


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
        InputError: if there is no such experiment or method, or nothing to resume.
    """
    chains = {
        seed: generate_experiment_cfgs(args.exp, seed, args.methods)
        for seed in args.seeds or [args.seed]
    }
    debug = "_debug" if args.debug else ""
    parent = Path("work_dirs") / f"local-exp{args.exp}"
    stamp, token = time.strftime("%y%m%d_%H%M"), secrets.token_hex(3)[:5]
    if args.resume and not args.work_dir:
        first = next(iter(chains.values()))[0]
        stamp, token = newest_start(parent, first["experiment_name"] + debug)
    runs: list[Run] = []
    for seed, configs in chains.items():
        chain: list[Run] = []
        for config in configs:
            unique = f"{stamp}_{config['experiment_name']}{debug}_{token}"
            work_dir = parent / unique
            if args.work_dir:
                subfolders = [f"seed {seed}"] * bool(args.seeds)
                subfolders += [config["title"]] * (len(configs) > 1)
                work_dir = Path(args.work_dir, *subfolders)
            stored = stored_config(work_dir) if args.resume else None
            start_from = config.get("start_from")
            start = None if start_from is None else chain[start_from]
            chain.append(
                Run(stored or GENERATED / f"{unique}.py", work_dir, config["title"], start)
            )
            if not stored:
                write_config(config | {"experiment_name": unique}, chain[-1].config)
        runs += chain
    return runs


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
        if name == "tta_pipeline"
        or not name.endswith(("_pipeline", "_target", "_class_weight", "_term"))
    }
    return Config(kept, filename=cfg.filename)


def train_all(runs: list[Run], args: argparse.Namespace) -> None:
    """Train the runs one after the other; if there are several, lock and compare them."""
    if len(runs) == 1:
        train(runs[0], args, args.resume)
        return
    from mmseg.utils.work_dir import locked

    # Each run is locked while it trains; this lock covers the time in between.
    with locked(runs[0].work_dir, "--work-dir", ".chain.lock"):
        for run in runs:
            begun = run is runs[0] or any(run.work_dir.glob("iter_*.pth"))
            train(run, args, args.resume and begun)
        report(runs, args)
        write_report(runs, runs[-1].work_dir / "comparison.html")


def write_report(runs: list[Run], out: Path) -> None:
    """Write the HTML page about runs, which are stored already, and print its path."""
    from tools.reporting import make_report

    print(f"report: {make_report([run.work_dir for run in runs], out)}", flush=True)


def train(run: Run, args: argparse.Namespace, resume: bool) -> None:
    """Draw the toy data that the run needs, and train."""
    from demo.toy import TOY_SETS, has_toy_data, make_toy_data
    from mmseg.apis.init_model import needs_pretrained
    from mmseg.apis.train import finished, latest_checkpoint
    from mmseg.apis.train import train as train_config

    cfg = resolve(run, args)
    if resume and finished(cfg):
        print(f"{run.title}: already finished, in {run.work_dir}")
        return
    text = str(cfg.to_dict())
    toy_sets = [name for name in TOY_SETS if str(TOY_ROOT / name) in text]
    if toy_sets and not has_toy_data(TOY_ROOT, toy_sets):
        print(f"drawing toy data in {TOY_ROOT}: {', '.join(toy_sets)}")
        make_toy_data(TOY_ROOT, sets=toy_sets)
    arguments = training_arguments(args)
    if run.start_from is not None:
        arguments["from_scratch"] = False
        if not resume:
            cfg.load_from = str(latest_checkpoint(run.start_from.work_dir))
            if needs_pretrained(cfg.model):
                # The pretraining is to these runs what ImageNet is to others.
                weights = {"type": "Pretrained", "checkpoint": cfg.load_from}
                cfg.model.segmentor.backbone.init_cfg = weights
    print(f"{run.title}: training {run.resolved}", flush=True)
    # Training stores the config under this name.
    cfg = Config(cfg.to_dict(), cfg_text=text, filename=str(run.resolved))
    choose_performance(cfg, args)
    start = partial(train_config, cfg, resume=resume, **arguments)
    if args.gpus == 1:
        start()
    else:
        from tools.experiments.launch import launch

        launch(partial(start, launcher="pytorch"), processes=args.gpus, device=args.device)
    write_report([run], run.work_dir)


def report(runs: list[Run], args: argparse.Namespace) -> None:
    """Compare the last weights of the runs of each seed, except for a pretraining."""
    from mmseg.apis.train import latest_checkpoint
    from mmseg.utils.config import load_config
    from tools.experiments.compare import compare

    compared: dict[str, dict[str, tuple[Config, Path]]] = {}
    for run in [run for run in runs if run.start_from is not None] or runs:
        cfg = load_config(run.resolved)
        of_seed = compared.setdefault(f"seed {cfg.randomness.seed}", {})
        of_seed[run.title] = cfg, latest_checkpoint(run.work_dir)
    found = []
    for of_seed in compared.values():
        *_, (cfg, checkpoint) = of_seed.values()
        found.append(compare(of_seed, checkpoint.parent, args.device))
    iterations = cfg.train_cfg.max_iters
    start = (
        f"started from the same weights, trained on the source ({runs[0].title}), and trained "
        f"{iterations} more iterations."
    )
    if args.methods or args.seeds:
        how = f" With each seed all {start}" if runs[-1].start_from else ""
        results = {seed: each.results for seed, each in zip(compared, found, strict=True)}
        print(f"\nmIoU in percent on the target's validation images.{how}\n")
        print_methods(results, runs[-1].work_dir / "methods.txt")
        print("\n".join(f"picture: {each.picture}" for each in found))
    else:
        print(
            f"\nIoU on the target's validation images. Both {start}\n\n{found[0].table}\n\n"
            f"table: {runs[-1].work_dir / 'comparison.txt'}\npicture: {found[0].picture}"
        )


def print_methods(results: dict[str, dict[str, dict]], path: Path) -> None:
    """Print and store the table of all seeds and methods, compared with source only if it is there.

    Args:
        results: heading of a seed -> title of a method -> its result.
        path: file of the table.
    """
    from mmseg.evaluation import methods_table

    titles = list(next(iter(results.values())))
    source_only = METHODS["source_only"].title
    table = methods_table(results, source_only if source_only in titles else titles[0])
    with atomic_path(path) as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    print(f"{table}\n\ntable: {path}")


if __name__ == "__main__":
    run_main(main)
