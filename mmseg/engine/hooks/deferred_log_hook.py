"""Logging that fetches values from the device when they are printed, not in each iteration."""

import math
import resource
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import CheckpointHook, RuntimeInfoHook
from mmengine.runner import Runner
from pydantic import PositiveInt
from torch import Tensor

from mmseg.registry import HOOKS
from mmseg.utils import InputError
from mmseg.utils.finite import first_nonfinite
from mmseg.utils.work_dir import latest_checkpoint

from ..distributed import raise_on_all_ranks

# Each overflow halves the scale of the loss; below this, after about thirty, training has failed.
SMALLEST_LOSS_SCALE = torch.finfo(torch.float16).smallest_normal


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook`` without a synchronisation in each iteration.

    The outputs of ``train_step`` stay on the device until they are printed or saved; then those of
    all iterations since are copied in one transfer, and training ends if a loss or the norm of the
    gradients is NaN or infinite. These, the weights and the state of the optimizer are also checked
    before a checkpoint is saved or an evaluation starts. Without a GPU, whose memory mmengine
    logs, the peak resident memory of the process is logged.

    Args:
        interval: iterations between transfers, equal to the interval of the ``LoggerHook``.
        terminate_on_nan: whether a value that is NaN or infinite ends training.
    """

    def __init__(self, interval: PositiveInt, terminate_on_nan: bool = True) -> None:
        self.interval = interval
        self.terminate_on_nan = terminate_on_nan
        self.pending: list[tuple[int, dict[str, Tensor]]] = []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Tensor] | None = None,
    ) -> None:
        """Keep this iteration's outputs, and log all kept ones if a print or checkpoint is due.

        Raises:
            InputError: if a value is not finite.
        """
        self.pending.append((runner.iter + 1, outputs or {}))
        if self.is_last_train_iter(runner) or _saves_checkpoint(runner):
            self.check_state(runner, runner.iter + 1)
        elif self.every_n_inner_iters(batch_idx, self.interval):
            with raise_on_all_ranks():
                self.flush(runner)

    def before_val(self, runner: Runner) -> None:
        """Check that the weights to be evaluated are finite."""
        super().before_val(runner)
        self.check_state(runner, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store all values up to this iteration in the checkpoint."""
        self.flush(runner)
        checkpoint["message_hub"] = runner.message_hub.state_dict()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log the scores, and store their iteration for ``ResumeValidationHook``."""
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info("evaluated_iter", runner.iter)

    def flush(self, runner: Runner) -> None:
        """Move all pending values into the message hub, oldest first.

        Raises:
            InputError: if a loss or the norm of the gradients is not finite.
        """
        pending, self.pending = self.pending, []
        named = [(iteration, name) for iteration, outputs in pending for name in outputs]
        values = [value for _, outputs in pending for value in outputs.values()]
        if values:
            fetched = torch.stack([value.detach().float() for value in values]).tolist()
            for (iteration, name), value in zip(named, fetched, strict=True):
                self._log(runner, iteration, name, value)
        if not torch.cuda.is_available():
            runner.message_hub.update_scalar("train/memory", peak_memory_mb())

    def check_state(self, runner: Runner, iteration: int) -> None:
        """Check on all ranks that the state of training is finite before it is saved or evaluated.

        Raises:
            InputError: if a loss, a gradient, a weight or a state of the optimizer is not finite.
        """
        with raise_on_all_ranks():
            self.flush(runner)
            if not self.terminate_on_nan:
                return
            state = {
                "the weights": runner.model.state_dict(),
                "the state of the optimizer": runner.optim_wrapper.state_dict(),
            }
            for what, values in state.items():
                if name := first_nonfinite(values):
                    raise _diverged(runner, iteration, f"{what} ({name}) are not finite")

    def _log(self, runner: Runner, iteration: int, name: str, value: float) -> None:
        if not math.isfinite(value):
            if name == "gradient_norm" and _was_skipped(runner):
                return
            if self.terminate_on_nan and name == "gradient_norm":
                raise _diverged(runner, iteration, f"the norm of the gradients is {value}")
            if self.terminate_on_nan and "loss" in name:
                raise _diverged(runner, iteration, f"the loss {name} is {value}")
        runner.message_hub.update_scalar(f"train/{name}", value)


def _was_skipped(runner: Runner) -> bool:
    """Tell whether the step was skipped for an overflow, which is normal in float16."""
    scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
    if scaler is None or not scaler.is_enabled():
        return False
    return scaler.get_scale() >= SMALLEST_LOSS_SCALE


def _saves_checkpoint(runner: Runner) -> bool:
    """Tell whether rank 0 saves a checkpoint after this iteration."""
    return any(
        isinstance(hook, CheckpointHook)
        and not hook.by_epoch
        and hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        for hook in runner.hooks
    )


def _diverged(runner: Runner, iteration: int, what: str) -> InputError:
    clipped = "--cfg-options optim_wrapper.clip_grad.max_norm=1"
    try:
        way_out = (
            f"the last checkpoint is {latest_checkpoint(Path(runner.work_dir))}: go on from it "
            f"with clipped gradients (--resume {clipped}) or start again with a lower learning rate"
        )
    except InputError:
        way_out = (
            "there is no checkpoint to go on from: start again with a lower learning rate or "
            f"clipped gradients ({clipped})"
        )
    return InputError(f"training has diverged: at iteration {iteration} {what}; {way_out}")


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
