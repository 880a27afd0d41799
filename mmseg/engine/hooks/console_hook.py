"""Hook that shows a run on the console."""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, Hook, LoggerHook
from mmengine.runner import Runner

from ..console import RunConsole
from ..performance import Performance


class ConsoleHook(Hook):
    """Show on rank 0 what is trained on what, the progress, the scores, and the result.

    Values are those of the log, which ``DeferredRuntimeInfoHook`` has fetched from the device.
    """

    # After the hooks that log and save.
    priority = "VERY_LOW"

    def __init__(self) -> None:
        self.console: RunConsole | None = None
        self.interval = 1
        self.begin = self.evaluation_begin = 0.0
        self.evaluation_seconds = 0.0
        self.score = ""

    def close(self) -> None:
        """Restore the terminal, whenever and however the run ends."""
        if self.console is not None:
            self.console.close()

    def before_train(self, runner: Runner) -> None:
        """Print the page of the run, and start the bar."""
        if not is_main_process():
            return
        self.begin = time.monotonic()
        loggers = (hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook))
        self.interval = next(loggers, self.interval)
        self.console = RunConsole(runner.max_iters, runner.iter)
        self.console.print_facts(facts_of(runner))
        self.console.print_line("")
        self.console.start()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Move the bar; show the values of the log when it has new ones."""
        if self.console is None:
            return
        done = runner.iter + 1
        self.console.advance(done, self._seconds_left(runner, done))
        if self.every_n_inner_iters(batch_idx, self.interval):
            self.console.show_values([*shown_values(runner), *filter(None, [self.score])])

    def _seconds_left(self, runner: Runner, done: int) -> float:
        interval, total = runner.train_loop.val_interval, runner.max_iters
        # One may be due now; the last iteration always has one.
        evaluations = -(-total // interval) - (done - 1) // interval if runner.val_loop else 0
        eta = runner.message_hub.runtime_info.get("eta", 0.0)
        return eta + evaluations * self.evaluation_seconds

    def before_val(self, runner: Runner) -> None:
        """Measure the time of an evaluation."""
        self.evaluation_begin = time.monotonic()

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Show how far the evaluation is."""
        if self.console is not None:
            self.console.show_evaluation(batch_idx + 1, len(runner.val_dataloader))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Print the scores in one line."""
        self.evaluation_seconds = time.monotonic() - self.evaluation_begin
        if self.console is None or not metrics:
            return
        name = _main_score(runner, metrics)
        self.score = f"{name} {metrics[name]:.2f}"
        self.console.values = (self.score,)
        best = _best(runner, name)
        so_far = "the best so far" if metrics[name] == best else f"best so far {best:.2f}"
        scores = scores_text(name, metrics)
        self.console.print_line(f"evaluation at iteration {runner.iter}: {scores}, {so_far}")

    def after_run(self, runner: Runner) -> None:
        """Print the result and its files."""
        if self.console is None:
            return
        self.close()
        seconds = int(time.monotonic() - self.begin)
        self.console.print_line("")
        self.console.print_facts(results_of(runner, timedelta(seconds=seconds)))


def facts_of(runner: Runner) -> Iterator[tuple[str, str]]:
    """Yield what is trained on what, where, from which weights and to which files."""
    cfg, loader = runner.cfg, runner.train_dataloader
    source = getattr(loader.dataset, "source", loader.dataset)
    target = getattr(loader.dataset, "target", None)
    parameters = sum(p.numel() for p in runner.model.model.parameters()) / 1e6
    yield "method", _method(cfg)
    yield "network", f"{_network(cfg)}, {parameters:.1f} million parameters"
    yield "source", _data(source)
    yield "target", "not used" if target is None else f"{_data(target)} without labels"
    if runner.val_loop is not None:
        every = f"every {runner.train_loop.val_interval} iterations"
        yield "evaluation", f"{_data(runner.val_dataloader.dataset)}, {every}"
    yield "device", _device(runner)
    yield "seed", f"{runner.seed}{', deterministic' * runner.deterministic}"
    domains = 1 if target is None else 2
    images = " + ".join([str(loader.batch_size * runner.world_size)] * domains)
    yield "iterations", f"{runner.max_iters} with {images} images"
    yield "start", _start(runner)
    yield "work dir", str(cfg.work_dir)
    log = Path(runner.logger.log_file)
    yield "log", f"{log.parent.name}/{log.name} in the work dir"


def results_of(runner: Runner, duration: timedelta) -> Iterator[tuple[str, str]]:
    """Yield the result of a finished run and its files."""
    info = runner.message_hub.runtime_info
    scores = {
        key.removeprefix("val/"): history.current()
        for key, history in runner.message_hub.log_scalars.items()
        if key.startswith("val/")
    }
    name = _main_score(runner, scores) if scores else None
    yield "finished", f"{runner.iter} iterations; this start took {duration}"
    names = {key: Path(info[key]).name for key in ("last_ckpt", "best_ckpt") if info.get(key)}
    if last := names.get("last_ckpt"):
        yield "last", f"{last}, {scores_text(name, scores)}" if name else last
    if name and (best := names.get("best_ckpt")):
        yield "best", f"{best}, {name} {_best(runner, name):.2f}"
    yield "config", Path(runner.cfg.filename or "config.py").name
    work_dir = Path(runner.cfg.work_dir)
    if any(work_dir.glob("debug/*.png")):
        yield "pictures", "debug/"
    yield "all in", str(work_dir)


def shown_values(runner: Runner) -> list[str]:
    """Format what the bar shows of the log: the loss of each pass, and the confidence."""
    history = runner.message_hub.log_scalars
    window = runner.log_processor.window_size  # of the means in the log
    passes = [key for key in history if re.fullmatch(r"train/(\w+\.)?loss", key)]
    shown = [
        f"{key.removeprefix('train/').removesuffix('.loss')} {history[key].mean(window):.3f}"
        for key in passes
    ]
    if shown:
        shown.insert(0, "losses")
    if "train/confidence" in history:
        shown.append(f"confidence {history['train/confidence'].current():.2f}")
    return shown


def scores_text(name: str, scores: Mapping[str, float]) -> str:
    """Format the main score and mIoU_gt, if there is one, of the student and of a teacher."""
    parts = []
    for each in dict.fromkeys([name, "mIoU_gt"]):
        if each in scores:
            teacher = scores.get(f"teacher/{each}")
            of_teacher = "" if teacher is None else f" (teacher {teacher:.2f})"
            parts.append(f"{each} {scores[each]:.2f}{of_teacher}")
    return ", ".join(parts)


def _main_score(runner: Runner, scores: Mapping[str, float]) -> str:
    """Return the score that decides on the best checkpoint, or else mIoU or the first one."""
    # mmengine makes a list of the name.
    savers = (hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
    wanted = [name for hook in savers for name in hook.save_best or ()]
    return next((name for name in [*wanted, "mIoU"] if name in scores), next(iter(scores)))


def _best(runner: Runner, name: str) -> float:
    return float(np.nanmax(runner.message_hub.get_scalar(f"val/{name}").data[0]))


def _method(cfg: Config) -> str:
    variant = (cfg.model.get("contrast") or {}).get("variant")
    method = f"{cfg.model.type} ({variant})" if variant else cfg.model.type
    return " + ".join([method, *(term.type for term in (cfg.model.get("terms") or {}).values())])


def _network(cfg: Config) -> str:
    segmentor = cfg.model.segmentor
    backbone = segmentor.backbone
    name = str(backbone.get("model_name") or backbone.type)
    depth = f"-{backbone.depth}" if "depth" in backbone else ""
    return f"{segmentor.decode_head.type} on {name}{depth}"


def _data(dataset: Any) -> str:
    root = getattr(dataset, "data_root", None)
    place = f" in {root}" if root else ""
    count = f"{len(dataset)} image{'s' * (len(dataset) != 1)}"
    return f"{type(dataset).__name__}{place}, {count}"


def _device(runner: Runner) -> str:
    on_gpu = next(runner.model.parameters()).is_cuda
    threads = torch.get_num_threads()
    on_cpu = f"CPU, {threads} thread{'s' * (threads > 1)}"
    device = torch.cuda.get_device_name() if on_gpu else on_cpu
    chosen = Performance.of(runner.cfg)
    options = [chosen.precision, *(n for n in ("compile", "channels_last") if getattr(chosen, n))]
    count = f"{runner.world_size} x " if runner.world_size > 1 else ""
    return f"{count}{device}, {', '.join(options).replace('_', ' ')}"


def _start(runner: Runner) -> str:
    cfg = runner.cfg
    if cfg.get("resume"):
        return f"goes on from {Path(cfg.load_from).name} after {runner.iter} iterations"
    if cfg.get("load_from"):
        return f"student of {cfg.load_from}"
    init = cfg.model.segmentor.backbone.get("init_cfg") or {}
    return f"pretrained weights {init['checkpoint']}" if "checkpoint" in init else "random weights"
