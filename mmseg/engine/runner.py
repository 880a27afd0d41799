"""Runner with safe and complete loading of checkpoints."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import convert_sync_batchnorm, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from mmseg.datasets.loader import build_dataloader
from mmseg.utils import InputError, built_from_config
from mmseg.utils.checkpoint import (
    DamagedCheckpoint,
    load_checkpoint,
    load_weights,
    select_role,
    stored_meta,
    weights_of,
)
from mmseg.utils.finite import check_finite
from mmseg.utils.logs import warn_user
from mmseg.utils.work_dir import way_on_without

from .distributed import broadcast_state, raise_on_all_ranks
from .fine_tuning import load_student
from .logs import show_only_warnings
from .performance import Performance

# Entries next to the weights that a checkpoint needs for a run to resume from it.
RESUMED = ("meta", "optimizer", "param_schedulers", "message_hub")
# For names of the parts that mmengine keeps as long as the process runs.
_NUMBERS = count()


class _RunConfig(Config):
    """A config that stays as it is, and is formatted as a program once: that takes 0.2 s.

    mmengine writes this text to three logs, and to each checkpoint.
    """

    @cached_property
    def pretty_text(self) -> str:
        """Settings as lines of a Python program; empty on ranks other than 0, which log nothing."""
        # yapf, which formats them, writes a cache when it is first imported in a new environment,
        # and fails in a process that reads the unfinished file.
        return super().pretty_text if is_main_process() else ""


class TrainRunner(Runner):
    """A Runner that loads checkpoints without running code from them, and only if they fit.

    mmengine falls back to unrestricted unpickling and skips weights that do not fit. Errors in
    building parts from the config become an ``InputError``. mmengine looks up loggers, message
    hubs and visualizers by name, and names them by the second in which a run starts. Here names are
    unique, so two runs that start in the same second of one process do not share them.
    """

    @classmethod
    def from_cfg(cls, cfg: Config) -> "TrainRunner":
        """Build a runner from a complete config."""
        fixed = _RunConfig()
        fixed.__setstate__(cfg.__getstate__())
        return super().from_cfg(fixed)

    def dump_config(self) -> None:
        """Do nothing: ``mmseg.apis.train`` stores the config after the first result."""

    def build_logger(self, *args: Any, **options: Any) -> MMLogger:
        """Build a logger that writes to the log file; see :func:`show_only_warnings`."""
        logger = super().build_logger(*args, **options | self._unique_name())
        show_only_warnings(logger)
        return logger

    def build_message_hub(self, message_hub: dict | None = None) -> MessageHub:
        """Build the message hub."""
        return super().build_message_hub({**(message_hub or {}), **self._unique_name()})

    def build_visualizer(self, visualizer: Visualizer | dict | None = None) -> Visualizer:
        """Build the visualizer; by default it writes to the log folder only."""
        if not isinstance(visualizer, Visualizer):
            default = {"type": "Visualizer", "vis_backends": [{"type": "LocalVisBackend"}]}
            visualizer = {**(visualizer or default), **self._unique_name()}
        return super().build_visualizer(visualizer)

    def _unique_name(self) -> dict[str, str]:
        return {"name": f"{self.experiment_name}_{next(_NUMBERS)}"}

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model."""
        with built_from_config("model"):
            return super().build_model(model)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Move the model to its device, and set the options for speed.

        In a distributed run the optimizer wrapper averages the gradients of the student, see
        :class:`~mmseg.engine.optim.StudentOptimWrapper`; the model itself is not wrapped.
        """
        device, sync_bn = self.cfg.get("device") or get_device(), self.cfg.get("sync_bn")
        model = model.to(device)
        if not self.distributed:
            model = revert_sync_batchnorm(model)
        elif model_wrapper_cfg:
            raise InputError("model_wrapper_cfg: models are trained without a wrapper here")
        elif sync_bn not in (None, "torch"):
            raise InputError(f"sync_bn must be None or 'torch', not {sync_bn!r}")
        elif sync_bn:
            model = convert_sync_batchnorm(model, sync_bn)
        if device == "cpu" and any(isinstance(m, nn.SyncBatchNorm) for m in model.modules()):
            raise InputError(
                "SyncBN needs GPUs: leave out sync_bn, and use norm_cfg=dict(type='BN') on a CPU"
            )
        Performance.of(self.cfg).apply(model)
        return model

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the training loop with its data."""
        parts = "train_dataloader or train_cfg"
        return self._checked_loop(super().build_train_loop, loop, parts)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the validation loop with its data and metric."""
        if isinstance(loop, dict):  # mmengine's loop of this name does not score the teacher
            loop = {"type": "ValLoop", **loop}
        parts = "val_dataloader, val_evaluator or val_cfg"
        return self._checked_loop(super().build_val_loop, loop, parts)

    def _checked_loop(self, build: Callable, config: BaseLoop | dict, parts: str) -> BaseLoop:
        """Build a loop, and check that the model has as many classes as its data set."""
        with raise_on_all_ranks(), built_from_config(parts):
            loop = build(config)
            metainfo = getattr(loop.dataloader.dataset, "metainfo", {})
            check_num_classes(self.model, metainfo.get("classes", ()))
        return loop

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args: Any, **options: Any) -> DataLoader:
        """Build a data loader that does not hang, see :mod:`mmseg.datasets.loader`."""
        if isinstance(dataloader, DataLoader):
            return dataloader
        names = ("seed", "diff_rank_seed")
        return build_dataloader(dataloader, **dict(zip(names, args, strict=False)), **options)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper:
        """Build the optimizer in its wrapper."""
        if isinstance(optim_wrapper, dict):
            optim_wrapper = Performance.of(self.cfg).optim_wrapper(optim_wrapper)
        with raise_on_all_ranks(), built_from_config("optim_wrapper"):
            return super().build_optim_wrapper(optim_wrapper)

    def register_default_hooks(self, hooks: dict[str, Any] | None = None) -> None:
        """Register mmengine's hooks, with ``DeferredRuntimeInfoHook`` as ``runtime_info``.

        ``phase_times`` and ``validation_panels`` store what reports of a run show.
        """
        hooks = dict(hooks or {})
        interval = (hooks.get("logger") or {}).get("interval", 10)  # the default of LoggerHook
        watching = {"type": "DeferredRuntimeInfoHook", "interval": interval}
        ours = {
            "runtime_info": watching,
            "phase_times": {"type": "PhaseTimeHook", "interval": interval},
            "validation_panels": {"type": "ValidationPanelHook"},
        }
        merged = ours | hooks
        switched_off = {name for name in ours if merged[name] is None and name != "runtime_info"}
        super().register_default_hooks({k: merged[k] for k in merged if k not in switched_off})

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Build the learning rate schedules."""
        with raise_on_all_ranks(), built_from_config("param_scheduler"):
            return super().build_param_scheduler(scheduler)

    def _init_model_weights(self) -> None:
        """Initialise the model; :meth:`load_or_resume` copies it from rank 0 to the others."""
        with raise_on_all_ranks():
            self.model.init_weights()

    def load_or_resume(self) -> None:
        """Load the checkpoint that the config names, if any, and broadcast rank 0's model."""
        super().load_or_resume()
        broadcast_state(self.model)
        before = self.message_hub.runtime_info.get("world_size", self.world_size)
        if before != self.world_size:
            warn_user(
                f"This run had {before} processes and goes on with {self.world_size}: each "
                "iteration has another number of images, and data are drawn in another order."
            )
        self.message_hub.update_info("world_size", self.world_size)

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
            filename: path of the checkpoint.
            map_location: ignored: files are read to the CPU.
            strict: ignored: all keys must fit.
            revise_keys: ignored.

        Raises:
            InputError: if the file cannot be read, or does not fit the model.
        """
        with raise_on_all_ranks():
            checkpoint = self._read(Path(filename))
            self._put_into_model(checkpoint, filename)
        self.logger.info(f"loaded {filename}")
        return checkpoint

    def _read(self, path: Path) -> dict:
        try:
            return load_checkpoint(path, mapped=True)
        except DamagedCheckpoint as error:
            if not self._resume:
                raise
            raise InputError(
                f"{path} is not a readable checkpoint (damaged or cut off?): {way_on_without(path)}"
            ) from error

    def _put_into_model(self, checkpoint: dict, filename: str | os.PathLike) -> None:
        missing = [key for key in RESUMED if key not in checkpoint]
        if self._resume and missing:
            raise InputError(
                f"{filename} cannot be resumed from, it lacks {', '.join(missing)}: start "
                f"a new run from its weights with --cfg-options load_from={filename}"
            )
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        model = self.model
        if self._resume:
            state = checkpoint.get("state_dict", checkpoint)
            load_weights(model, state, filename)
            check_finite(checkpoint["optimizer"], filename, "optimizer")
        else:
            student = select_role(weights_of(checkpoint, filename), "student", filename)
            trained = stored_meta(checkpoint).get("classes")
            classes = self.train_dataloader.dataset.metainfo.get("classes", ())
            if fresh := load_student(model.model, student, filename, trained, classes):
                parts = "; ".join(fresh)
                self.logger.warning(f"not in {filename}, so trained from scratch: {parts}")
            if isinstance(getattr(model, "ema_model", None), nn.Module):
                model.ema_model.load_state_dict(model.model.state_dict())


def check_num_classes(model: nn.Module, classes: Sequence[str]) -> None:
    """Check that all parts of a model have as many classes as its data.

    Args:
        model: the model.
        classes: class names of the data; empty if they are unknown.

    Raises:
        InputError: if a part has another number of classes.
    """
    for name, part in model.named_modules():
        if "backbone" in name.split("."):  # may have the classes of its pretraining
            continue
        count = getattr(part, "num_classes", None)
        if classes and count not in (None, len(classes)):
            raise InputError(
                f"the {type(part).__name__} of the model has {count} classes, the data set "
                f"{len(classes)} ({classes[0]}, ...): set num_classes={len(classes)} in the "
                "model's decode_head and prototypes"
            )
