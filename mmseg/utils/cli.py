"""How every command line of the project starts and fails."""

import argparse
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .errors import InputError, RankError

# The status that a shell shows for a program that SIGPIPE has ended.
UNREAD = 128 + signal.SIGPIPE


class Parser(argparse.ArgumentParser):
    """A parser that refuses empty arguments: an empty path would be the current folder."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """Parse as usual; an empty argument, or an option ``--name=``, is a usage error."""
        given = sys.argv[1:] if args is None else list(args)
        for before, argument in zip(["", *given], given, strict=False):
            option = argument.startswith("--") and argument.endswith("=")
            if not argument or option:
                name = argument if option else before if before.startswith("-") else ""
                self.error(" ".join(filter(None, ("argument", name.rstrip("="), "is empty"))))
        return super().parse_args(given, namespace)


def error_line(error: BaseException) -> str:
    """The one line of an error that a user should read.

    A data loader worker hands its exception on with the worker's traceback in the message; the
    line that counts is then the last one, behind the name of the class.
    """
    text = str(error).strip()
    if "Original Traceback" in text:
        match = re.search(rf"(?:^|\n)[\w.]*{type(error).__name__}: (.+)\s*$", text, re.S)
        text = match.group(1) if match else text.splitlines()[-1]
    return " ".join(text.split())


def run_main(main: Callable[[], int | None]) -> None:
    """Run ``main`` as a program: an :class:`InputError` becomes one line on stderr and status 1.

    So does an ``OSError``, which tells of the machine: a full disk, a folder that is locked. If
    nobody reads the output any more (``| head``), the program ends quietly with status 141.
    """
    before = signal.signal(signal.SIGPIPE, _end_if_unread)
    try:
        try:
            status = _status_of(main)
            sys.stdout.flush()
            sys.stderr.flush()
        except BrokenPipeError:
            _close_unread()
            status = UNREAD
        sys.exit(status)
    finally:
        signal.signal(signal.SIGPIPE, before)


def _status_of(main: Callable[[], int | None]) -> Any:
    try:
        return main()
    except SystemExit as end:
        return end.code
    except (InputError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _close_unread():
            return UNREAD
        if getattr(error, "tell", True):
            print(f"error: {error_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _end_if_unread(number: int, frame: Any) -> None:
    """End if nobody reads stdout or stderr; a pipe between processes raises its own error."""
    if _close_unread():
        raise SystemExit(UNREAD)


def _close_unread() -> bool:
    """Send what is still to be written to stdout or stderr nowhere, if nobody reads it."""
    streams = select.poll()
    for descriptor in (1, 2):
        streams.register(descriptor, 0)
    unread = [each for each, event in streams.poll(0) if event & (select.POLLERR | select.POLLHUP)]
    for descriptor in unread:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    return bool(unread)


@contextmanager
def print_on_local_rank0(launcher: str | None = None) -> Iterator[None]:
    """Let one process of a machine print an error that comes before they know of each other.

    It is in a config or a command line, which all of them read.

    Args:
        launcher: "slurm" if that has started them.
    """
    try:
        yield
    except InputError as error:
        if not isinstance(error, RankError):
            name = "SLURM_LOCALID" if launcher == "slurm" else "LOCAL_RANK"
            error.tell = os.environ.get(name, "0") == "0"
        raise
