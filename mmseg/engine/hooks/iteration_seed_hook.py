"""Random numbers that depend on the seed and the iteration alone."""

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
