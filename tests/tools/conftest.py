"""Fixtures for tests of what the tools say of bad input."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner


@pytest.fixture
def quick_start(monkeypatch):
    """Leave out what takes mmengine seconds: compilers' versions, and configs in pretty lines."""

    def plain_text(cfg: Config) -> str:
        return "\n".join(f"{key} = {value!r}" for key, value in cfg.to_dict().items())

    monkeypatch.setattr(Runner, "_log_env", lambda self, env_cfg: None)
    monkeypatch.setattr(Config, "pretty_text", property(plain_text))


@pytest.fixture
def config(toy_config, tmp_path) -> Path:
    """A config file of a run that would work."""
    toy_config.pop("work_dir")
    toy_config.dump(tmp_path / "c.json")
    return tmp_path / "c.json"
