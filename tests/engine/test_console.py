"""Check what a run prints on a terminal and elsewhere, and what goes only to its log file."""

import re
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.logging import MessageHub, MMLogger, print_log

from mmseg.engine.console import RunConsole
from mmseg.engine.hooks import ConsoleHook
from mmseg.engine.logs import log_to_file_of, python_warnings_kept, show_only_warnings
from mmseg.utils.logs import warn_user

LONG = "work_dirs/local-exp4/" + "a_long_name-" * 8
FACTS = [("source", "GTADataset in data/gta, 24966 images and many words"), ("work dir", LONG)]


def run(console: RunConsole) -> None:
    console.print_facts(FACTS)
    console.start()
    for done in (21, 22):
        console.advance(done, left=3700.9)
    console.show_evaluation(2, 4)
    console.print_line("evaluation at iteration 22: mIoU 9.87")
    console.show_values(["losses", "src 3.105", "mix 1.516", "confidence 0.50"])
    console.close()


def test_without_a_terminal_there_are_only_plain_lines(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as services for CI do
    run(RunConsole(total=100, done=20))
    assert capsys.readouterr().out.splitlines() == [
        "source      GTADataset in data/gta, 24966 images and many words",
        f"work dir    {LONG}",
        "evaluation at iteration 22: mIoU 9.87",
        "[ 22/100]  losses  src 3.105  mix 1.516  confidence 0.50  1:01:40 left",
    ]


def test_on_a_terminal_a_bar_stays_below_what_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    run(RunConsole(total=100, done=20))
    out = capsys.readouterr().out
    text = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", out)
    assert "source      GTADataset in data/gta,\n            24966 images and many words\n" in text
    assert LONG in text  # can be copied
    before, after = text.split("evaluation at iteration 22: mIoU 9.87\n")
    assert "20/100 20% " in before and "22/100" not in before
    frame = after.split("22/100 22% 1:01:40 left\n")[-1]
    assert frame.split() == ["losses", "src", "3.105", "mix", "1.516", "confidence", "0.50"]
    # The cursor is there again.
    assert out.count("\x1b[?25l") == out.count("\x1b[?25h") == 1
    assert out.index("\x1b[?25l") < out.index("22/100") < out.index("\x1b[?25h")


def test_closing_a_console_that_shows_no_bar_is_harmless(capsys):
    console = RunConsole(total=1)
    console.close()
    console.close()
    assert capsys.readouterr().out == ""


def training(name: str) -> SimpleNamespace:
    """Imitate a runner that is evaluated every 4 of 10 iterations and logs every second one."""
    return SimpleNamespace(
        message_hub=MessageHub(name),
        iter=0,
        max_iters=10,
        log_processor=SimpleNamespace(window_size=2),
        train_loop=SimpleNamespace(val_interval=4),
        val_loop=True,
        hooks=[LoggerHook(interval=2), CheckpointHook(by_epoch=False, save_best="mIoU16")],
    )


@pytest.fixture
def hook(capsys) -> ConsoleHook:
    hook = ConsoleHook()
    hook.interval, hook.console = 2, RunConsole(total=10)
    return hook


def test_values_are_those_of_the_log_and_no_tensor_is_read(hook, capsys):
    runner = training("values")
    hub = runner.message_hub
    for iteration in range(4):
        runner.iter = iteration
        hub.update_scalar("train/src.loss", float(iteration))
        hub.update_scalar("train/src.decode.loss_seg", 9.0)
        hub.update_scalar("train/confidence", iteration / 4)
        hub.update_info("eta", 60.0 * (9 - iteration))
        # A tensor on this device has no value: to read it is an error.
        outputs = {"src.loss": torch.zeros((), device="meta")}
        hook.after_train_iter(runner, iteration, None, outputs)
    assert capsys.readouterr().out.splitlines() == [
        "[ 2/10]  losses  src 0.500  confidence 0.25  0:08:00 left",
        "[ 4/10]  losses  src 2.500  confidence 0.75  0:06:00 left",
    ]


def test_the_time_left_has_the_evaluations_to_come(hook):
    runner = training("time")
    runner.message_hub.update_info("eta", 5.0)
    hook.evaluation_seconds = 100.0
    left = {}
    for runner.iter in (2, 3, 7, 8, 9):
        hook.after_train_iter(runner, 0)
        left[runner.iter + 1] = hook.console.left
    # There are three: after 4, 8 and 10 iterations.
    seconds = {3: 305, 4: 305, 8: 205, 9: 105, 10: 105}
    assert left == {done: timedelta(seconds=value) for done, value in seconds.items()}
    runner.val_loop, runner.iter = None, 2
    hook.after_train_iter(runner, 0)
    assert hook.console.left == timedelta(seconds=5)


def test_an_evaluation_is_one_line_with_the_best_so_far(hook, capsys):
    runner = training("scores")
    for runner.iter, score in ((4, 50.0), (8, 40.0), (10, 60.0)):
        scores = {"mIoU": 1.0, "mIoU16": score, "teacher/mIoU16": score + 1}
        for name, value in scores.items():
            runner.message_hub.update_scalar(f"val/{name}", value)
        hook.before_val(runner)
        hook.after_val_epoch(runner, scores)
    assert capsys.readouterr().out.splitlines() == [
        "evaluation at iteration 4: mIoU16 50.00 (teacher 51.00), the best so far",
        "evaluation at iteration 8: mIoU16 40.00 (teacher 41.00), best so far 50.00",
        "evaluation at iteration 10: mIoU16 60.00 (teacher 61.00), the best so far",
    ]


def test_warnings_of_libraries_are_only_in_the_log_file(tmp_path, capsys):
    path = tmp_path / "run.log"
    with python_warnings_kept() as kept:
        warnings.warn("before there is a log", UserWarning, stacklevel=1)
        logger = MMLogger.get_instance(str(tmp_path), log_file=str(path))
        show_only_warnings(logger)
        log_to_file_of(logger, kept)
        warnings.warn("in the run", UserWarning, stacklevel=1)
        logger.info("an environment")
        print_log("of mmengine", "current", level=30)
        for _ in range(2):
            warn_user("classes [3] are\nnever drawn")
        logger.error("a custom hook has failed")
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "warning: classes [3] are never drawn",
        "error: a custom hook has failed",
    ]
    log = Path(path).read_text()
    for line in ("before there is a log", "in the run", "an environment", "of mmengine", "never"):
        assert line in log
    with pytest.warns(UserWarning, match="afterwards"):
        warnings.warn("afterwards", UserWarning, stacklevel=1)
