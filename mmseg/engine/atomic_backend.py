"""Checkpoints that are whole or not there."""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmseg.utils import atomic_path


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
