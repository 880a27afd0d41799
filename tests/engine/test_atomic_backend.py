"""Checkpoints are written whole or not at all."""

import pytest
from mmengine.fileio import get_file_backend

from mmseg.engine import AtomicBackend
from tests.files import full_disk


def test_the_backend_of_checkpoints_is_known_by_name(tmp_path):
    backend = get_file_backend(backend_args={"backend": "atomic"})
    assert isinstance(backend, AtomicBackend)
    path = tmp_path / "new" / "iter_1.pth"
    backend.put(b"first", str(path))
    assert backend.get(path) == b"first"
    backend.put(b"second", path)
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_failing_write_leaves_the_previous_version(tmp_path):
    path = tmp_path / "last.pth"
    AtomicBackend().put(b"previous", path)
    with full_disk(8), pytest.raises(OSError, match=r"too large: .*last\.pth"):
        AtomicBackend().put(b"a longer version", path)
    assert path.read_bytes() == b"previous"
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_file_is_removed_only_when_outdated(tmp_path):
    backend, path = AtomicBackend(), tmp_path / "iter_1.pth"
    backend.put(b"first", path)
    backend.remove(str(path))
    assert path.read_bytes() == b"first" and backend.outdated == [path]
    backend.remove(tmp_path / "never_there.pth")
    backend.remove_outdated()
    assert list(tmp_path.iterdir()) == [] and backend.outdated == []
