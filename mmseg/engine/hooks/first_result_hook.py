"""Hook for the first result of a run."""

from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class FirstResultHook(Hook):
    """Call a function once, after the first iteration or evaluation.

    A run that fails before leaves its work dir unchanged. A resumed run may start with an
    evaluation, and does nothing else if it has reached the last iteration.

    Args:
        function: called with the runner, and with whether the checkpoint that the run resumes from
            contains the scores of its iteration.

    Attributes:
        reached: whether the function has been called and has returned.
    """

    # Before any hook that writes.
    priority = "HIGHEST"

    def __init__(self, function: Callable[[Runner, bool], None]) -> None:
        self.function = function
        self.reached = False
        self.evaluated = False

    def before_train(self, runner: Runner) -> None:
        """Find out whether the loaded checkpoint contains its scores."""
        self.evaluated = runner.message_hub.runtime_info.get("evaluated_iter") == runner.iter

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Call the function after the first iteration."""
        self._reach(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Call the function after the first evaluation, before its scores are logged."""
        self._reach(runner)

    def _reach(self, runner: Runner) -> None:
        if not self.reached:
            self.function(runner, self.evaluated)
            self.reached = True
