"""The moment from which on a run has something to keep."""

from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class FirstResultHook(Hook):
    """Call a function once, when the first iteration or evaluation is done.

    Up to then a run that fails leaves its work dir as it was. A resumed run may begin with an
    evaluation; after the last iteration that is all it does.

    Args:
        function: called with the runner, and with whether the checkpoint that the run goes on from
            holds the scores of its iteration.

    Attributes:
        reached: whether the function has been called, and has returned.
    """

    # Before any hook that writes.
    priority = "HIGHEST"

    def __init__(self, function: Callable[[Runner, bool], None]) -> None:
        self.function = function
        self.reached = False
        self.evaluated = False

    def before_train(self, runner: Runner) -> None:
        """Look at the checkpoint that was loaded."""
        self.evaluated = runner.message_hub.runtime_info.get("evaluated_iter") == runner.iter

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """The first iteration is done."""
        self._reach(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """The first evaluation is done; its scores are not logged yet."""
        self._reach(runner)

    def _reach(self, runner: Runner) -> None:
        if not self.reached:
            self.function(runner, self.evaluated)
            self.reached = True
