"""Hook that measures the phases of training steps."""

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from pydantic import PositiveInt

from mmseg.registry import HOOKS
from mmseg.utils.phases import PhaseClock
from mmseg.utils.work_dir import append_line


@HOOKS.register_module()
class PhaseTimeHook(Hook):
    """Measure the phases of one step in ``interval``.

    Each measured step is a line of ``<log_dir>/vis_data/phases.json``: ``iter`` and ``step``, the
    iteration; ``whole``, the seconds of the step; and the seconds of each phase, by its name (see
    :mod:`mmseg.utils.phases`). On a GPU events are recorded, which are read after
    ``DeferredRuntimeInfoHook`` has waited for the step, so that measuring costs no synchronisation.

    Args:
        interval: iterations from one measured step to the next, equal to that of the
            ``LoggerHook``.
    """

    # After DeferredRuntimeInfoHook.
    priority = "LOW"

    def __init__(self, interval: PositiveInt) -> None:
        self.interval = interval
        self._clock: PhaseClock | None = None
        self._start: Any = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Start the clock on rank 0 if the step is to be measured."""
        if is_main_process() and self.every_n_train_iters(runner, self.interval):
            self._clock = PhaseClock(next(runner.model.parameters()).device)
            self._clock.__enter__()
            self._start = self._clock.mark()

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Stop the clock, and write the times."""
        clock = self._clock
        if clock is None:
            return
        end = clock.mark()
        self.stop()
        seconds = clock.seconds()  # waits for the marks
        whole = clock.between(self._start, end)
        iteration = runner.iter + 1
        row = {"iter": iteration, "step": iteration, "whole": whole, **seconds}
        append_line(runner.log_dir, "phases", row)

    def stop(self) -> None:
        """Stop the clock; call this also if a step fails."""
        if self._clock is not None:
            self._clock.__exit__()
            self._clock = None
