"""Helpers that run a tool and return its error."""

import contextlib
import io
from pathlib import Path

import pytest

from mmseg.utils.cli import run_main
from tools import train as train_tool


def error_of(main, *arguments: str | Path) -> str:
    """Check that ``main`` fails with status 1 and one line on stderr; return its message."""
    # Redirect stderr alone: loggers keep a reference to stdout, which must outlive the test.
    with contextlib.redirect_stderr(io.StringIO()) as stderr, pytest.raises(SystemExit) as stop:
        run_main(lambda: main([str(argument) for argument in arguments]))
    assert stop.value.code == 1
    (line,) = stderr.getvalue().splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def train_error(config: Path, *arguments: str | Path, new: tuple[str, ...] = ()) -> str:
    """Return the error of ``tools.train``; check that it adds only ``new`` next to the config."""
    before = {path.name for path in config.parent.iterdir()}
    work_dir = config.parent / "deep" / "run"
    options = ["--work-dir", work_dir, "--device", "cpu", *arguments]
    message = error_of(train_tool.main, config, *options)
    assert {path.name for path in config.parent.iterdir()} == before | set(new)
    return message
