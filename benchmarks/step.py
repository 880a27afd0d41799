"""Training steps of a config's method as training does them, and what they take."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmseg.apis.init_model import without_pretrained
from mmseg.engine.hooks import IterationSeedHook
from mmseg.engine.performance import Performance
from mmseg.registry import MODELS
from mmseg.utils import built_from_config
from mmseg.utils.config_check import check_config
from mmseg.utils.phases import PhaseClock

from .settings import Settings, Workload


class TrainingStep:
    """A step of a config's method: called with a batch, it trains on it and returns the log.

    Weights are random. All pseudo-labels count as confident, as they would never be with a network
    that has learnt nothing; what a step costs does not depend on it.

    Args:
        cfg: a whole config. settings: how the step is computed. device: where.

    Attributes:
        model: the method. optim_wrapper: of its student.
    """

    def __init__(self, cfg: Config, settings: Settings, device: torch.device) -> None:
        init_default_scope("mmseg")
        check_config(cfg, ("model", "optim_wrapper"))
        performance = Performance(**settings.performance())
        performance.set_backends()
        torch.backends.cudnn.benchmark = bool((cfg.get("env_cfg") or {}).get("cudnn_benchmark"))
        with quiet(), built_from_config("model"):
            self.model = MODELS.build(without_pretrained(cfg.model))
            if device.type != "meta":
                self.model.init_weights()
        self.model.to(device)
        performance.apply(self.model)
        optim_wrapper = performance.optim_wrapper(cfg.optim_wrapper)
        if settings.optimizer == "unfused":
            optimizer = {**optim_wrapper["optimizer"], "fused": False, "foreach": False}
            optim_wrapper["optimizer"] = optimizer
        with built_from_config("optim_wrapper"):
            self.optim_wrapper = build_optim_wrapper(self.model, optim_wrapper)
        self._maths_attention = settings.attention == "math"
        self.model.start_all_losses()

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Train on one batch."""
        attention = sdpa_kernel(SDPBackend.MATH) if self._maths_attention else nullcontext()
        with attention:
            return self.model.train_step(batch, self.optim_wrapper)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep mmengine from logging how each weight is initialised."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def time_steps(
    step: TrainingStep,
    batches: Sequence[Mapping[str, Any]],
    workload: Workload,
    clock: PhaseClock,
    before: Callable[[], None] = lambda: None,
) -> tuple[list[float], dict[str, float]]:
    """Warm up and measure; nothing waits for the device before the last step is under way.

    Args:
        batches: rotated.
        clock: of the device that the step runs on.
        before: called between warm-up and measurement.

    Returns:
        Seconds of each measured step, and seconds of all its phases of a name in all steps; of the
        contrastive losses, too, which are part of the source's and the target's.
    """
    reseed = IterationSeedHook().before_train_iter

    def run(iteration: int) -> None:
        reseed(SimpleNamespace(seed=workload.seed, iter=iteration), iteration)
        step(batches[iteration % len(batches)])

    for iteration in range(workload.warmup):
        run(iteration)
    step.model.start_all_losses(workload.start_contrast)
    before()
    with clock, watched_contrast(step.model, clock):
        marks = [clock.mark()]
        for iteration in range(workload.warmup, workload.warmup + workload.iters):
            run(iteration)
            marks.append(clock.mark())
    phases = clock.seconds()
    seconds = [clock.between(*pair) for pair in pairwise(marks)]
    return seconds, phases


@contextmanager
def watched_contrast(model: nn.Module, clock: PhaseClock) -> Iterator[None]:
    """Let the clock measure a method's ``contrast``, forward and backward, as a phase.

    The backward pass lasts from the gradient of the loss to that of the features, or of the last of
    them.
    """
    contrast = getattr(model, "contrast", None)
    if contrast is None:
        yield
        return
    watch = _ContrastWatch(clock)
    handles = [
        contrast.register_forward_pre_hook(watch.forward_begins),
        contrast.register_forward_hook(watch.forward_ends),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _ContrastWatch:
    """Hooks of one module; its passes do not overlap."""

    def __init__(self, clock: PhaseClock) -> None:
        self.clock = clock
        self.start = clock.mark()
        self.missing = 0

    def forward_begins(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        learning = [feature for feature in inputs[0] if feature.requires_grad]
        self.missing = len(learning)
        for feature in learning:
            feature.register_hook(self.gradient_is_there)
        self.start = self.clock.mark()

    def forward_ends(self, module: nn.Module, inputs: tuple[Any, ...], loss: Tensor) -> None:
        self.clock.spans.append(("contrast", self.start, self.clock.mark()))
        if loss.requires_grad:
            loss.register_hook(self.backward_begins)

    def backward_begins(self, gradient: Tensor) -> None:
        self.start = self.clock.mark()

    def gradient_is_there(self, gradient: Tensor) -> None:
        self.missing -= 1
        if self.missing == 0:
            self.clock.spans.append(("contrast", self.start, self.clock.mark()))


def note(text: str) -> None:
    """Tell a waiting user how far it is; results alone go to stdout."""
    print(text, file=sys.stderr, flush=True)
