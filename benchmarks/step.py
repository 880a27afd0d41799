"""Time training steps of a config's method on synthetic batches, and count their FLOPs."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from math import prod
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmseg.apis.init_model import without_pretrained
from mmseg.config_check import check_config
from mmseg.engine.hooks import IterationSeedHook
from mmseg.engine.performance import Performance
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import built_from_config
from mmseg.utils.phases import PhaseClock

from .training import TrainingSettings, Workload


class TrainingStep:
    """A training step of a config's method; a call with a batch trains on it and returns the log.

    Weights are random. All pseudo-labels count as confident, although an untrained network would
    have no confident ones; the cost of a step does not depend on it.

    Args:
        cfg: a whole config.
        settings: how the step is computed.
        device: device that computes it.

    Attributes:
        model: the method.
        optim_wrapper: the optimizer wrapper of its student.
    """

    def __init__(self, cfg: Config, settings: TrainingSettings, device: torch.device) -> None:
        init_default_scope("mmseg")
        check_config(cfg, ("model", "optim_wrapper"))
        performance = Performance(**settings.performance())
        performance.set_backends()
        torch.backends.cudnn.benchmark = bool((cfg.get("env_cfg") or {}).get("cudnn_benchmark"))
        with quiet(), built_from_config("model"):
            self.model = MODELS.build(without_pretrained(cfg.model))
            if device.type != "meta":
                self.model.init_weights()
        self.place(device, performance)
        optim_wrapper = performance.optim_wrapper(cfg.optim_wrapper)
        if settings.optimizer == "unfused":
            optimizer = {**optim_wrapper["optimizer"], "fused": False, "foreach": False}
            optim_wrapper["optimizer"] = optimizer
        with built_from_config("optim_wrapper"):
            self.optim_wrapper = build_optim_wrapper(self.model, optim_wrapper)
        self._maths_attention = settings.attention == "math"
        self.model.start_all_losses()

    def place(self, device: torch.device, performance: Performance) -> None:
        """Put the model on its device, and set it up."""
        self.model.to(device)
        performance.apply(self.model)

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
    """Warm up and measure; the host does not wait for the device before the last step has started.

    Args:
        batches: batches to take in turn.
        clock: clock of the device that the step runs on.
        before: called between warm-up and measurement.

    Returns:
        Seconds of each measured step, and total seconds of each phase over all steps; those of the
        contrastive losses (``contrast``) are part of the phases of source and target.
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

    The backward pass lasts from the gradient of the loss to that of the features; if there are
    several, to that of the last.
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
    """Hooks of a module whose passes do not overlap."""

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
    """Report progress on stderr; stdout is for results."""
    print(text, file=sys.stderr, flush=True)


# Number of blocks of one class in the height, and in the width, of a label.
BLOCKS = 8


def synthetic_batch(
    num_classes: int,
    crop: int,
    batch: int,
    targets: Sequence[str] = ("target",),
    seed: int = 0,
    crops_target: bool = True,
) -> dict[str, dict[str, Any]]:
    """Make a collated batch of both domains on the CPU.

    Args:
        num_classes: number of classes; each label shows all of them if there are enough blocks.
        crop: side of the source images in pixels.
        batch: images of each domain.
        targets: names of the views of the target.
        seed: seed of the images and labels.
        crops_target: whether the method crops the target itself; its images are then twice as wide.

    Returns:
        Under ``source`` and each of ``targets``: ``inputs``, ``batch`` uint8 images (3, H, W), and
        ``data_samples``, which have labels for the source.
    """
    generator = torch.Generator().manual_seed(seed)

    def images(width: int) -> list[Tensor]:
        shape = (batch, 3, crop, width)
        return list(torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8))

    where = torch.arange(crop) * BLOCKS // crop
    samples = []
    for _ in range(batch):
        order = torch.randperm(BLOCKS**2, generator=generator) % num_classes
        label = order.view(BLOCKS, BLOCKS)[where][:, where]
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=label[None].byte())))
    result = {"source": {"inputs": images(crop), "data_samples": samples}}
    for name in targets:
        unlabelled = [SegDataSample() for _ in range(batch)]
        result[name] = {
            "inputs": images(2 * crop if crops_target else crop),
            "data_samples": unlabelled,
        }
    return result


def pinned(batch: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Copy the batch to page-locked memory, as a data loader for a GPU does."""
    return {
        name: {key: [each.pin_memory() for each in values] for key, values in domain.items()}
        for name, domain in batch.items()
    }


aten = torch.ops.aten


def count_step_flops(cfg: Config, batch: Mapping[str, Any]) -> int:
    """Count the FLOPs of a training step with contrast; a multiply-add is two.

    The convolutions, matrix products and attention of the method are counted, forward and backward,
    but neither the blur of strong augmentation, which not every step applies, nor what activation
    checkpointing recomputes. The step runs on torch's meta device.

    Args:
        cfg: config of the method.
        batch: a batch as training gets it.
    """
    with torch.device("meta"):
        # A fused optimizer does not know the meta device.
        step = TrainingStep(cfg, TrainingSettings(optimizer="unfused"), torch.device("meta"))
    step.model.augmentation.jitter_threshold = 1.0
    step.model.augmentation.blur = False
    with sdpa_kernel(SDPBackend.MATH), step_counter() as counter:
        step(batch)
    return counter.get_total_flops()


def step_counter() -> FlopCounterMode:
    """Return torch's counter, corrected for the backward pass of grouped convolutions."""
    return FlopCounterMode(
        display=False, custom_mapping={aten.convolution_backward: convolution_backward_flops}
    )


def convolution_backward_flops(
    grad_shape: list[int],
    input_shape: list[int],
    weight_shape: list[int],
    _bias: Any,
    _stride: Any,
    _padding: Any,
    _dilation: Any,
    transposed: bool,
    _output_padding: Any,
    _groups: int,
    output_mask: list[bool],
    **_: Any,
) -> int:
    """Count the FLOPs of the gradients of input and weight; each costs as much as the forward pass.

    Torch's formula ignores the groups in the gradient of the weight, which makes it too large by
    their number.
    """
    positions = prod((input_shape if transposed else grad_shape)[2:])
    forward = 2 * grad_shape[0] * positions * prod(weight_shape)
    return forward * sum(output_mask[:2])
