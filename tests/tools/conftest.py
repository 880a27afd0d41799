"""A fixture for tests of the tools' error messages."""

from pathlib import Path

import pytest


@pytest.fixture
def config(toy_config, tmp_path) -> Path:
    """Write a valid training config; return its path."""
    toy_config.pop("work_dir")
    toy_config.dump(tmp_path / "c.json")
    return tmp_path / "c.json"
