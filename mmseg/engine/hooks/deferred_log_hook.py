"""Log values that are fetched from the device when they are printed, not when they are made."""

import resource
import sys
from typing import Any

import torch
from mmengine.hooks import RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from mmseg.registry import HOOKS


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook`` without a synchronisation in each iteration.

    What ``train_step`` returns stays on the device until it is due to be printed, saved or
    reported; then all values of the iterations in between come over in one transfer. Without a GPU,
    whose memory mmengine reports itself, the peak resident memory of the process is logged.

    Args:
        interval: iterations between transfers: the interval of the ``LoggerHook``.
    """

    def __init__(self, interval: int) -> None:
        if interval < 1:
            raise ValueError(f"interval must be >= 1, not {interval}")
        self.interval = interval
        self.pending: list[dict[str, Tensor]] = []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Tensor] | None = None,
    ) -> None:
        """Keep this iteration's outputs; hand them on if a print is due."""
        self.pending.append(outputs or {})
        if self.every_n_inner_iters(batch_idx, self.interval) or self.is_last_train_iter(runner):
            self.flush(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """A checkpoint holds every value up to its iteration."""
        self.flush(runner)
        checkpoint["message_hub"] = runner.message_hub.state_dict()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Hand the scores on, and note which iteration's they are for ``ResumeValidationHook``."""
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info("evaluated_iter", runner.iter)

    def flush(self, runner: Runner) -> None:
        """Move all pending values into the message hub, oldest first."""
        names = [name for outputs in self.pending for name in outputs]
        values = [value for outputs in self.pending for value in outputs.values()]
        if values:
            fetched = torch.stack([value.detach().float() for value in values]).tolist()
            for name, value in zip(names, fetched, strict=True):
                runner.message_hub.update_scalar(f"train/{name}", value)
        self.pending.clear()
        if not torch.cuda.is_available():
            runner.message_hub.update_scalar("train/memory", peak_memory_mb())


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
