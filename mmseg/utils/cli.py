"""Start of all command line tools, and their handling of errors."""

import os
import re
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

from .errors import InputError

# Exit status that a shell shows for a program ended by SIGPIPE.
UNREAD = 128 + signal.SIGPIPE


def error_line(error: BaseException) -> str:
    """Format an error as one line for the user.

    The message of an error in a data loader worker contains the traceback of the worker; then the
    last line, after the name of the class, is used.
    """
    text = str(error).strip()
    if "Original Traceback" in text:
        match = re.search(rf"(?:^|\n)[\w.]*{type(error).__name__}: (.+)\s*$", text, re.S)
        text = match.group(1) if match else text.splitlines()[-1]
    return " ".join(text.split())


def run_main(main: Callable[[], int | None]) -> None:
    """Run ``main`` as a program: an :class:`InputError` becomes one line on stderr and status 1.

    So does an ``OSError``, such as a full disk or a read-only folder. If the output is not read any
    more (``| head``), the program ends silently with status 141.
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
    except KeyboardInterrupt as end:
        if getattr(end, "tell", True):
            print(": ".join(filter(None, ["interrupted", error_line(end)])), file=sys.stderr)
        return 130


def _end_if_unread(number: int, frame: Any) -> None:
    """Exit if the reader of stdout or stderr is gone; other broken pipes raise an error."""
    if _close_unread():
        raise SystemExit(UNREAD)


def _close_unread() -> bool:
    """Redirect stdout and stderr to the null device if their reader is gone."""
    streams = select.poll()
    for descriptor in (1, 2):
        streams.register(descriptor, 0)
    unread = [each for each, event in streams.poll(0) if event & (select.POLLERR | select.POLLHUP)]
    for descriptor in unread:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    return bool(unread)
