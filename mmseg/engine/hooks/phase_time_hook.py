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
    :mod:`mmseg.utils.phases`). On a GPU events are recorded. They are read an iteration later,
    after ``DeferredRuntimeInfoHook`` has waited for the step, so that measuring costs no
    synchronisation.

    Args:
        interval: iterations from one measured step to the next, equal to that of the
            ``LoggerHook``.
    """

    # The first after a step, so that the times of other hooks do not count.
    priority = "HIGHEST"

    def __init__(self, interval: PositiveInt) -> None:
        self.interval = interval
        self._clock: PhaseClock | None = None
        self._start: Any = None
        # Iteration and clock of a measured step, its start and its end.
        self._measured: tuple[int, PhaseClock, Any, Any] | None = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Write the times of the last step, and start the clock if the next is to be measured."""
        self._write(runner)
        if is_main_process() and self.every_n_train_iters(runner, self.interval):
            self._clock = PhaseClock(next(runner.model.parameters()).device)
            self._clock.__enter__()
            self._start = self._clock.mark()

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Stop the clock."""
        if self._clock is not None:
            end = self._clock.mark()
            self._measured = runner.iter + 1, self._clock, self._start, end
            self.stop()

    def after_train(self, runner: Runner) -> None:
        """Write the times of the last step."""
        self._write(runner)

    def _write(self, runner: Runner) -> None:
        if self._measured is not None:
            iteration, clock, start, end = self._measured
            self._measured = None
            seconds = clock.seconds()  # after this all marks are passed
            row = {"whole": clock.between(start, end), **seconds}
            append_line(runner.log_dir, "phases", {"iter": iteration, "step": iteration, **row})

    def stop(self) -> None:
        """Stop the clock; call this also if a step fails."""
        if self._clock is not None:
            self._clock.__exit__()
            self._clock = None
