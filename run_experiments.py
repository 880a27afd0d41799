"""Generate the configs of an experiment and train them: ``python run_experiments.py --exp N``."""

import argparse
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from experiments import EXPERIMENTS, config_text, describe, generate_experiment_cfgs
from mmseg.utils import InputError, atomic_path, check_writable, undone_on_error
from mmseg.utils.cli import run_main
from tools import train as train_tool

GENERATED = Path(__file__).parent / "configs" / "generated"
TOY_ROOT = Path("data/toy")


@dataclass
class Run:
    """One training of an experiment.

    Attributes:
        config: file of the generated config, or the user's.
        work_dir: where its results go.
        title: what it is called in comparisons.
        start_from: run whose last weights it starts with.
    """

    config: Path
    work_dir: Path
    title: str
    start_from: "Run | None" = None

    @property
    def resolved(self) -> Path:
        """Where the config without bases stands, beside the results."""
        return self.work_dir / f"{self.config.stem}.json"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    listing = "\n".join(f"  {describe(exp)}" for exp in EXPERIMENTS)
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"experiments:\n{listing}\n\n0 is the demo: toy data, CPU, minutes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--exp", type=int, metavar="N", help="experiment to run, see below")
    what.add_argument("--config", metavar="FILE", help="a config of your own instead")
    add = parser.add_argument
    add("--debug", action="store_true", help="shrunken copy: a minute on CPU, toy data if need be")
    add("--dry-run", action="store_true", help="print the configs and exit")
    train_tool.add_training_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Generate, train, and if there are several runs compare them."""
    args = parse_args(argv)
    runs = [own_run(args)] if args.config else planned_runs(args)
    try:
        if args.dry_run:
            for run in runs:
                print(f"# {run.config.stem}\n{resolve(run, args).pretty_text}")
            return
        for run in runs:
            train(run, args)
    except InputError:
        remove_unused_configs(runs)
        raise
    if len(runs) > 1:
        report(runs, args.device)


def own_run(args: argparse.Namespace) -> Run:
    """The run of ``--config``."""
    config = Path(args.config)
    return Run(config, Path(args.work_dir or Path("work_dirs") / config.stem), config.stem)


def planned_runs(args: argparse.Namespace) -> list[Run]:
    """The runs of ``--exp``: new ones, or with ``--resume`` the newest there are.

    Writes their configs, if they can run. The runs of one experiment share ``--work-dir`` as
    folders of their own.

    Raises:
        InputError: there is no such experiment, or nothing to resume.
    """
    runs: list[Run] = []
    configs = generate_experiment_cfgs(args.exp, args.seed)
    stamp = time.strftime("%y%m%d_%H%M")
    for config in configs:
        name = config["experiment_name"] + ("_debug" if args.debug else "")
        title, parent = config.pop("title"), Path("work_dirs") / f"local-exp{args.exp}"
        found = newest_run(parent, name) if args.resume and not args.work_dir else None
        unique = found.name if found else f"{stamp}_{name}_{secrets.token_hex(3)[:5]}"
        work_dir = found or parent / unique
        if args.work_dir:
            work_dir = Path(args.work_dir) / (title if len(configs) > 1 else "")
        start_from = config.pop("start_from", None)
        config["experiment_name"] = unique
        run = Run(GENERATED / f"{unique}.py", work_dir, title)
        run.start_from = None if start_from is None else runs[start_from]
        runs.append(run)
    if args.resume and not any(run.work_dir.is_dir() for run in runs):
        raise InputError(
            f"nothing to resume: no run of experiment {args.exp} in {runs[0].work_dir.parent}; "
            "run it without --resume"
        )
    check_writable(GENERATED, "a copy of the project that you may write to")
    for run, config in zip(runs, configs, strict=True):
        with atomic_path(run.config) as temporary:
            temporary.write_text(config_text(config), encoding="utf-8")
    return runs


def remove_unused_configs(runs: list[Run]) -> None:
    """Delete the generated configs of runs that have left nothing."""
    for run in runs:
        if run.config.parent == GENERATED and not run.work_dir.is_dir():
            run.config.unlink(missing_ok=True)


def newest_run(parent: Path, name: str) -> Path | None:
    """The latest work dir of a run of this name, by the date in its own."""
    pattern = re.compile(rf"\d{{6}}_\d{{4}}_{re.escape(name)}_[0-9a-f]{{5}}")
    found = [path for path in parent.glob("*") if pattern.fullmatch(path.name)]
    return max(found, key=lambda path: (path.name[:11], path.stat().st_mtime), default=None)


def resolve(run: Run, args: argparse.Namespace) -> Config:
    """The config without bases: shrunken for ``--debug``, with the command line's overrides."""
    from mmseg.apis.shrink import shrink  # late, as all that is slow to import: --help is fast
    from mmseg.utils.config import load_config, override

    cfg = load_config(run.config)
    if args.debug:
        shrink(cfg, TOY_ROOT)
    override(cfg, args.cfg_options)
    cfg.work_dir = str(run.work_dir)
    return cfg


def train(run: Run, args: argparse.Namespace) -> None:
    """Make toy data if the run is on it, store the resolved config, and train it."""
    from mmseg.apis.train import finished, latest_checkpoint
    from mmseg.datasets.toy import has_toy_data, make_toy_data

    cfg = resolve(run, args)
    resume = args.resume and (run.start_from is None or any(run.work_dir.glob("iter_*.pth")))
    if resume and finished(cfg):
        print(f"{run.title}: finished before, in {run.work_dir}")
        return
    if run.start_from is not None and not resume:
        cfg.load_from = str(latest_checkpoint(run.start_from.work_dir))
    if str(TOY_ROOT) in cfg.pretty_text and not has_toy_data(TOY_ROOT):
        print(f"drawing toy data in {TOY_ROOT}")
        make_toy_data(TOY_ROOT)
    arguments = [str(run.resolved), "--device", args.device]
    if args.seed is not None:
        arguments += ["--seed", str(args.seed)]
    flags = {"--resume": resume, "--deterministic": args.deterministic}
    flags["--from-scratch"] = args.from_scratch
    with undone_on_error(run.work_dir, keep=lambda: set(run.work_dir.iterdir()) > {run.resolved}):
        check_writable(run.work_dir, "--work-dir")
        with atomic_path(run.resolved) as temporary:
            cfg.dump(temporary)
        print(f"{run.title}: training {run.resolved}", flush=True)
        train_tool.main(arguments + [flag for flag, wanted in flags.items() if wanted])


def report(runs: list[Run], device: str) -> None:
    """Compare the last weights of all runs that started from the same ones."""
    from mmseg.apis.compare import compare
    from mmseg.apis.train import latest_checkpoint
    from mmseg.utils.config import load_config

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
