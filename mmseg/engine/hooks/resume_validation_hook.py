"""The evaluation that a checkpoint is too early to know of."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg.registry import HOOKS


@HOOKS.register_module()
class ResumeValidationHook(Hook):
    """Evaluate first thing if the run resumes where an evaluation is due and has not been done.

    The checkpoint of an iteration is saved before that iteration's evaluation, so without this its
    scores, and a best checkpoint, would be missing from a run that was interrupted there. If the
    scores were the best, the checkpoint is saved again with them.
    """

    # After CheckpointHook has set itself up.
    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:
        """Evaluate if the resumed iteration is on the schedule, or the last, without scores."""
        loop = runner.train_loop
        due = runner.iter % loop.val_interval == 0 or runner.iter == loop.max_iters
        done = runner.message_hub.runtime_info.get("evaluated_iter") == runner.iter
        reached = runner.iter >= max(loop.val_begin, 1)
        if reached and due and not done and runner.val_loop is not None:
            runner.val_loop.run()
