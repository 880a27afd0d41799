"""How every command line of the project starts and fails."""

import re
import sys
from collections.abc import Callable

from .errors import InputError


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

    So does an ``OSError``, which tells of the machine: a full disk, a folder that is locked.
    """
    try:
        sys.exit(main())
    except (InputError, OSError) as error:
        print(f"error: {error_line(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
