"""One run of an experiment: its config, training and scores."""

import argparse
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmengine.config import Config

from mmseg.utils import InputError
from mmseg.utils.cli import error_line
from tools.common.options import add_choices, choose_performance, training_arguments

from .variants import vary

TOY_ROOT = Path("data/toy")
#: What to do after runs of a grid have failed or were interrupted.
RESUME = "the same command with --resume goes on"


@dataclass(eq=False)
class Run:
    """One training of an experiment.

    Attributes:
        config: file of the generated config, or the user's.
        work_dir: folder of its results.
        title: name in comparisons.
        generated: whether the config was generated, and contains only data. Configs of the user
            may import modules, so they keep their file type.
        start_from: the run whose last weights it starts from, if any.
        task: heading of the table in which it is compared.
        seed: seed that distinguishes it from runs with the same title.
        video: video that it predicts after the comparison, if any.
    """

    config: Path
    work_dir: Path
    title: str
    generated: bool = False
    start_from: "Run | None" = None
    task: str = ""
    seed: int | None = None
    video: str | None = None

    @property
    def resolved(self) -> Path:
        """Path of the stored config without bases, next to the results."""
        suffix = ".json" if self.generated else self.config.suffix
        return self.work_dir / f"{self.config.stem}{suffix}"

    @property
    def label(self) -> str:
        """Name among all runs of a grid."""
        return self.title if self.seed is None else f"{self.title}, seed {self.seed}"

    @property
    def begun(self) -> bool:
        """Whether it has a checkpoint to resume from."""
        return any(self.work_dir.glob("iter_*.pth"))

    def log(self) -> Path | None:
        """Find the log file of its last start."""
        return max(self.work_dir.glob("*/*.log"), default=None)


@dataclass(frozen=True)
class Failure:
    """A run that has failed.

    Attributes:
        reason: one line.
        log: file with its output.
    """

    reason: str
    log: Path | None = None


def say(line: str) -> None:
    """Print a line at once, whole, from any thread."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def resolve(run: Run, args: argparse.Namespace) -> Config:
    """Load the config of a run without bases; apply its variant and overrides."""
    from mmseg.utils.config import load_config
    from mmseg.utils.config_file import is_data
    from mmseg.utils.data_config import check_data

    cfg = load_config(run.config)
    if run.config != run.resolved:
        vary(cfg, args, TOY_ROOT)
    add_choices(cfg, args)
    if is_data(run.resolved):
        check_data(cfg.to_dict(), run.config)
    cfg.work_dir = str(run.work_dir)
    return cfg


def draw_toy_data(cfg: Config) -> None:
    """Draw the toy data that a run needs, unless it is complete."""
    from demo.toy import TOY_SETS, has_toy_data, make_toy_data

    text = str(cfg.to_dict())
    sets = [name for name in TOY_SETS if str(TOY_ROOT / name) in text]
    if sets and not has_toy_data(TOY_ROOT, sets):
        say(f"drawing toy data in {TOY_ROOT}: {', '.join(sets)}")
        make_toy_data(TOY_ROOT, sets=sets)


def train(run: Run, args: argparse.Namespace, resume: bool) -> None:
    """Train a run, unless it is to be resumed and is finished."""
    from mmseg.apis.init_model import needs_pretrained
    from mmseg.apis.train import finished, latest_checkpoint
    from mmseg.apis.train import train as train_config

    cfg = resolve(run, args)
    if resume and finished(cfg):
        say(f"{run.label}: already finished, in {run.work_dir}")
        return
    draw_toy_data(cfg)
    arguments = training_arguments(args)
    if run.start_from is not None:
        arguments["from_scratch"] = False
        if not resume:
            cfg.load_from = str(latest_checkpoint(run.start_from.work_dir))
            if needs_pretrained(cfg.model):
                # The pretraining is to these runs what ImageNet is to others.
                weights = {"type": "Pretrained", "checkpoint": cfg.load_from}
                cfg.model.segmentor.backbone.init_cfg = weights
    say(f"{run.label}: training")
    # Training stores the config under this name.
    cfg = Config(cfg.to_dict(), cfg_text=str(cfg.to_dict()), filename=str(run.resolved))
    choose_performance(cfg, args)
    start = partial(train_config, cfg, resume=resume, **arguments)
    if args.gpus == 1:
        start()
    else:
        from .launch import launch

        launch(partial(start, launcher="pytorch"), processes=args.gpus, device=args.device)
    write_report([run], run.work_dir)


def write_report(runs: list[Run], out: Path) -> None:
    """Write the HTML page about runs, which are stored already, and print its path."""
    from tools.reporting import make_report

    say(f"report: {make_report([run.work_dir for run in runs], out)}")


def train_and_score(run: Run, args: argparse.Namespace, compared: bool) -> None:
    """Train a run of a grid, or go on with it, and evaluate its last weights.

    Args:
        run: the run.
        args: the command line.
        compared: whether the run is in a table; others are not evaluated.
    """
    from .compare import score

    train(run, args, args.resume and run.begun)
    if compared:
        score(run.resolved, args.device)


def attempt(work: Callable[[], None]) -> str | None:
    """Call a function; print its error, if it raises one, and return it as one line."""
    try:
        work()
    except SystemExit as end:  # of several processes, which have said why
        return f"ended with status {end.code}"
    except (InputError, OSError) as error:
        print(f"error: {error_line(error)}", file=sys.stderr, flush=True)
        return error_line(error)
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error_line(error)}"
    return None


def is_done(run: Run, args: argparse.Namespace, compared: bool) -> bool:
    """Tell whether :func:`train_and_score` has nothing left to do for a run to be resumed."""
    from mmseg.apis.train import finished

    from .compare import stored_score

    done = run.begun and finished(resolve(run, args))
    return done and (not compared or stored_score(run.resolved) is not None)


def check_resumable(runs: list[Run]) -> None:
    """Check that a run has a checkpoint to resume from.

    Raises:
        InputError: if none has.
    """
    if not any(run.begun for run in runs):
        folder = runs[0].work_dir
        raise InputError(f"nothing to resume: no iter_*.pth in {folder}; train without --resume")
