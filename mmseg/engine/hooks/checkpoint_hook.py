"""Checkpoints of which the last and the best are there at any moment."""

from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner

from mmseg.registry import HOOKS
from mmseg.utils import atomic_path

ATOMIC = {"backend": "atomic"}
# In the message hub: names of the checkpoints that the one being saved makes superfluous.
OUTDATED = "outdated_ckpts"


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """mmengine's hook, which here removes an old checkpoint after it has saved the new one.

    So neither a kill nor a full disk leaves a run without its last or its best checkpoint. What a
    killed run could not remove any more is removed when it goes on. A copy of a work dir that is
    resumed leaves the original alone.

    Args:
        interval: iterations from one checkpoint to the next; -1: only the last iteration has one.
        backend_args: for configs of mmengine; files are written by ``AtomicBackend`` in any case.
        options: mmengine's.
    """

    def __init__(
        self, interval: int = -1, backend_args: dict | None = None, **options: Any
    ) -> None:
        if backend_args not in (None, ATOMIC):
            raise ValueError(f"backend_args must be {ATOMIC}, not {backend_args}")
        super().__init__(interval, backend_args=ATOMIC, **options)

    def before_train(self, runner: Runner) -> None:
        """Find the folder to save to, and what is left to remove there."""
        hub = runner.message_hub
        for key, path in list(hub.runtime_info.items()):
            if key.startswith("best_ckpt") and self.out_dir is None:
                hub.update_info(key, str(Path(runner.work_dir, Path(path).name)))
        super().before_train(runner)
        for name in hub.runtime_info.get(OUTDATED, ()):
            self.file_backend.remove(Path(self.out_dir, Path(name).name))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note in a checkpoint what it makes superfluous."""
        names = [path.name for path in self.file_backend.outdated]
        runner.message_hub.update_info(OUTDATED, names)
        checkpoint["message_hub"] = runner.message_hub.state_dict()

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Save if it is time to, then remove what is superfluous."""
        super().after_train_iter(runner, *args, **kwargs)
        self.file_backend.remove_outdated()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save if the score is the best so far, then remove what is superfluous."""
        super().after_val_epoch(runner, metrics)
        self.file_backend.remove_outdated()


@register_backend("atomic")
class AtomicBackend(LocalBackend):
    """Local files, of which a process killed while writing leaves the previous version.

    Used by ``CheckpointHook(backend_args=dict(backend="atomic"))``, which asks for the removal of
    an old checkpoint before it writes the new one: removing is put off.

    Attributes:
        outdated: files that are to be removed.
    """

    def __init__(self) -> None:
        self.outdated: list[Path] = []

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` beside ``filepath`` and move it there."""
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file when :meth:`remove_outdated` is called."""
        self.outdated.append(Path(filepath))

    def remove_outdated(self) -> None:
        """Remove the files that :meth:`remove` was called for."""
        for path in self.outdated:
            path.unlink(missing_ok=True)
        self.outdated.clear()
