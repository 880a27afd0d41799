"""What makes a resumed run equal to one that was never interrupted."""

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg.registry import HOOKS


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed every generator before each iteration from (seed, rank, iteration).

    Seed and iteration are in the checkpoint, so a resumed run draws what an uninterrupted one
    draws, whatever else has used random numbers in between (data loaders, validation, logging).
    """

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set Python's, NumPy's and torch's generators (all devices)."""
        sequence = np.random.SeedSequence((runner.seed, get_rank(), runner.iter))
        state = sequence.generate_state(3, np.uint64)
        random.seed(int(state[0]))
        np.random.seed(int(state[1]) % 2**32)
        torch.manual_seed(int(state[2]) % 2**63)


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
