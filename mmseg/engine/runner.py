"""mmengine's Runner with safe, complete loading of checkpoints."""

import os
from collections.abc import Callable
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmseg.utils.checkpoint import load_checkpoint, load_weights, select_role, weights_of


class TrainRunner(Runner):
    """A Runner that loads checkpoints without running code from them, and whole or not at all.

    mmengine falls back to unrestricted unpickling and skips weights that do not fit.
    """

    def load_checkpoint(
        self,
        filename: str | os.PathLike,
        map_location: str | Callable = "cpu",
        strict: bool = True,
        revise_keys: Any = None,
    ) -> dict:
        """Load a checkpoint to resume from, or the student's weights to start from.

        Resuming needs every weight and buffer; starting from another run takes its student.

        Args:
            filename: of the checkpoint. The other arguments are mmengine's and have no effect:
                files are read to the CPU, and keys must fit.

        Raises:
            InputError: the file cannot be read, or does not fit the model.
        """
        checkpoint = load_checkpoint(filename)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if self._resume:
            state = checkpoint.get("state_dict", checkpoint)
            load_weights(model, state, filename)
        else:
            student = select_role(weights_of(checkpoint, filename), "student", filename)
            load_weights(model.model, student, filename)
            if isinstance(getattr(model, "ema_model", None), nn.Module):
                model.ema_model.load_state_dict(model.model.state_dict())
        self._has_loaded = True
        self.logger.info(f"loaded {filename}")
        return checkpoint
