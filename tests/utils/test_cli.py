import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from mmseg.utils import InputError
from mmseg.utils.cli import error_line, run_main


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a file is missing"), "a file is missing"),
        (InputError("two\n  lines "), "two lines"),
        (
            InputError(
                "Caught InputError in DataLoader worker process 0.\n"
                "Original Traceback (most recent call last):\n"
                '  File "worker.py", line 1, in f\n'
                "    raise InputError(x)\n"
                "mmseg.utils.errors.InputError: a.png is cut: download it again\n"
            ),
            "a.png is cut: download it again",
        ),
        (
            InputError("Caught\nOriginal Traceback (most recent call last):\nOther: the end"),
            "Other: the end",
        ),
    ],
)
def test_error_line_is_one_line_without_traceback(error, line):
    assert error_line(error) == line


def _raise(error):
    raise error


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [
        (InputError("no such thing"), 1, "error: no such thing\n"),
        (OSError(28, "No space left", "a.pth"), 1, "error: [Errno 28] No space left: 'a.pth'\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (KeyboardInterrupt("--resume goes on"), 130, "interrupted: --resume goes on\n"),
    ],
)
def test_errors_of_the_user_end_the_program_with_a_line(capsys, error, status, printed):
    with pytest.raises(SystemExit) as stop:
        run_main(lambda: _raise(error))
    assert stop.value.code == status
    assert capsys.readouterr().err == printed


def test_bugs_in_our_code_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_main(lambda: 1 / 0)


@pytest.mark.parametrize("status", [None, 0, 3])
def test_the_status_is_passed_on(status):
    with pytest.raises(SystemExit) as stop:
        run_main(lambda: status)
    assert stop.value.code == status


def print_lines() -> None:
    for number in range(20000):
        print(number)


def log_lines() -> None:
    logger = logging.getLogger("unread")
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(sys.stdout))
    for number in range(20000):
        logger.error(number)


def print_at_the_end() -> None:
    print("kept in a buffer until Python ends")


def fail() -> None:
    raise InputError("that nobody reads")


@pytest.mark.parametrize("main", [print_lines, log_lines, print_at_the_end])
@pytest.mark.parametrize("unread", [(1,), (1, 2)])
def test_output_that_nobody_reads_ends_the_program_quietly(main, unread):
    assert run_unread(main, unread) == (141, "")


def test_an_error_that_nobody_reads_ends_the_program_quietly():
    assert run_unread(fail, (2,)) == (141, "")


def run_unread(main: Callable[[], None], unread: tuple[int, ...]) -> tuple[int, str]:
    """Return status and stderr of ``main`` in a process whose output in ``unread`` is not read."""
    (unread_end, closed), (errors, written) = os.pipe(), os.pipe()
    os.close(unread_end)
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.dup2(written, 2)
            for descriptor in unread:
                os.dup2(closed, descriptor)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            run_main(main)
        except SystemExit as end:
            status = end.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(written)
    os.close(closed)
    with os.fdopen(errors) as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


ROOT = Path(__file__).resolve().parents[2]
TOOLS = [f"tools.{path.stem}" for path in sorted(ROOT.glob("tools/[a-z]*.py"))]


@pytest.mark.parametrize("name", [*TOOLS, "run_experiments"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", ""], "argument is empty"),
        (["a", "--work-dir", ""], "argument --work-dir is empty"),
        (["a", "--out-dir="], "argument --out-dir is empty"),
    ],
)
def test_no_tool_takes_an_empty_path(name, arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        import_module(name).main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(message)
