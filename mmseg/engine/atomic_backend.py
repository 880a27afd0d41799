"""Checkpoints that are whole or not there."""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmseg.utils import atomic_path


@register_backend("atomic")
class AtomicBackend(LocalBackend):
    """Local files, of which a process killed while writing leaves the previous version.

    Used by ``CheckpointHook(backend_args=dict(backend="atomic"))``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` beside ``filepath`` and move it there."""
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)
