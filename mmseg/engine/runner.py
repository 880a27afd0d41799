"""mmengine's Runner with safe, complete loading of checkpoints."""

import os
from collections.abc import Callable
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mmseg.utils import InputError, built_from_config
from mmseg.utils.checkpoint import load_checkpoint, load_weights, select_role, weights_of

from .performance import Performance

# What a checkpoint needs beside weights for a run to go on from it.
RESUMED = ("meta", "optimizer", "param_schedulers", "message_hub")


class TrainRunner(Runner):
    """A Runner that loads checkpoints without running code from them, and whole or not at all.

    mmengine falls back to unrestricted unpickling and skips weights that do not fit. What cannot be
    built from the config is an ``InputError``.
    """

    @property
    def started(self) -> bool:
        """Whether an iteration has been done, in this process or before."""
        return isinstance(self._train_loop, BaseLoop) and self.iter > 0

    def dump_config(self) -> None:
        """Nothing: ``mmseg.apis.train`` stores the config before it names a checkpoint to load."""

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model."""
        with built_from_config("model"):
            return super().build_model(model)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """The model on its device, set up for speed; in a distributed run it needs no wrapper."""
        model = super().wrap_model(model_wrapper_cfg, model)
        Performance.of(self.cfg).apply(model)
        return model

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop of training with its data."""
        with built_from_config("train_dataloader or train_cfg"):
            loop = super().build_train_loop(loop)
        self._check_num_classes(loop)
        return loop

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop of validation with its data and metric."""
        with built_from_config("val_dataloader, val_evaluator or val_cfg"):
            loop = super().build_val_loop(loop)
        self._check_num_classes(loop)
        return loop

    def _check_num_classes(self, loop: BaseLoop) -> None:
        """See that the model has as many classes as a loop's data set, wherever it counts them."""
        dataset = loop.dataloader.dataset
        classes = getattr(dataset, "metainfo", {}).get("classes", ())
        for name, part in self.model.named_modules():
            if "backbone" in name.split("."):  # may count the classes that it was pretrained on
                continue
            count = getattr(part, "num_classes", None)
            if classes and count not in (None, len(classes)):
                raise InputError(
                    f"the {type(part).__name__} of the model has {count} classes, the data set "
                    f"{len(classes)} ({classes[0]}, ...): set num_classes={len(classes)} in the "
                    "model's decode_head and prototypes"
                )

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """Build the optimizer in its wrapper."""
        if isinstance(optim_wrapper, dict):
            optim_wrapper = Performance.of(self.cfg).optim_wrapper(optim_wrapper)
        with built_from_config("optim_wrapper"):
            return super().build_optim_wrapper(optim_wrapper)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Build the schedules of the learning rate."""
        with built_from_config("param_scheduler"):
            return super().build_param_scheduler(scheduler)

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
        lacking = [key for key in RESUMED if key not in checkpoint]
        if self._resume and lacking:
            raise InputError(
                f"{filename} cannot be resumed from, it lacks {', '.join(lacking)}: start "
                f"a new run from its weights with --cfg-options load_from={filename}"
            )
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
