"""Hooks that make a resumed run equal to an uninterrupted one."""

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

    The checkpoint contains seed and iteration, so a resumed run draws the same numbers as an
    uninterrupted one, no matter what else uses random numbers (data loaders, validation, logging).
    """

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the generators of Python, NumPy and torch (all devices)."""
        sequence = np.random.SeedSequence((runner.seed, get_rank(), runner.iter))
        state = sequence.generate_state(3, np.uint64)
        random.seed(int(state[0]))
        np.random.seed(int(state[1]) % 2**32)
        torch.manual_seed(int(state[2]) % 2**63)


@HOOKS.register_module()
class ResumeValidationHook(Hook):
    """Evaluate at the start of a resumed run if the evaluation of its iteration is missing.

    The checkpoint of an iteration is saved before the evaluation. Without this hook a run that was
    interrupted in between would lack these scores, and perhaps its best checkpoint. If the scores
    are the best, the checkpoint is saved again with them.
    """

    # After CheckpointHook has set itself up.
    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:
        """Evaluate if it is due at the resumed iteration and the scores are missing."""
        loop = runner.train_loop
        due = runner.iter % loop.val_interval == 0 or runner.iter == loop.max_iters
        done = runner.message_hub.runtime_info.get("evaluated_iter") == runner.iter
        reached = runner.iter >= max(loop.val_begin, 1)
        if reached and due and not done and runner.val_loop is not None:
            runner.val_loop.run()
