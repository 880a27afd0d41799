"""Saving of checkpoints such that the last and the best one exist at any moment."""

from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import Runner

from mmseg.registry import HOOKS
from mmseg.utils import atomic_path

ATOMIC = {"backend": "atomic"}
# Key in the message hub: names of the checkpoints that the one being saved replaces.
OUTDATED = "outdated_ckpts"


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """mmengine's hook, but an old checkpoint is removed after the new one has been saved.

    So neither a kill nor a full disk leaves a run without its last or its best checkpoint. Files
    that a killed run did not remove are removed when it resumes. Resuming a copy of a work dir does
    not change the original.

    Args:
        interval: iterations from one checkpoint to the next; -1: save only the last iteration.
        backend_args: accepted because mmengine has it; ``AtomicBackend`` writes all files.
        options: options of mmengine's hook.
    """

    def __init__(
        self, interval: int = -1, backend_args: dict | None = None, **options: Any
    ) -> None:
        if backend_args not in (None, ATOMIC):
            raise ValueError(f"backend_args must be {ATOMIC}, not {backend_args}")
        super().__init__(interval, backend_args=ATOMIC, **options)

    def before_train(self, runner: Runner) -> None:
        """Find the folder and the last checkpoint of a resumed run, and remove outdated files."""
        hub = runner.message_hub
        for key, path in list(hub.runtime_info.items()):
            if key.startswith("best_ckpt") and self.out_dir is None:
                hub.update_info(key, str(Path(runner.work_dir, Path(path).name)))
        super().before_train(runner)
        if last := hub.runtime_info.get("last_ckpt"):
            # mmengine saves this one again if an evaluation is the best so far.
            self.last_ckpt = str(Path(self.out_dir, Path(last).name))
        for name in hub.runtime_info.get(OUTDATED, ()):
            self.file_backend.remove(Path(self.out_dir, Path(name).name))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Store in a checkpoint the names of those that it replaces."""
        names = [path.name for path in self.file_backend.outdated]
        runner.message_hub.update_info(OUTDATED, names)
        checkpoint["message_hub"] = runner.message_hub.state_dict()

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Save if a checkpoint is due, then remove outdated ones."""
        super().after_train_iter(runner, *args, **kwargs)
        self.file_backend.remove_outdated()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save if the score is the best so far, then remove outdated checkpoints."""
        super().after_val_epoch(runner, metrics)
        self.file_backend.remove_outdated()


@register_backend("atomic")
class AtomicBackend(LocalBackend):
    """Local files that keep their previous version if the process is killed while writing.

    mmengine's ``CheckpointHook`` removes an old checkpoint before it writes the new one, so that
    removing is postponed here.

    Attributes:
        outdated: files to be removed.
    """

    def __init__(self) -> None:
        self.outdated: list[Path] = []

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` next to ``filepath`` and move it there."""
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)

    def remove(self, filepath: str | Path) -> None:
        """Mark a file to be removed by :meth:`remove_outdated`."""
        self.outdated.append(Path(filepath))

    def remove_outdated(self) -> None:
        """Remove the files that :meth:`remove` has marked."""
        for path in self.outdated:
            path.unlink(missing_ok=True)
        self.outdated.clear()
