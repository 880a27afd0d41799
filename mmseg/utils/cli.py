"""How every command line of the project starts and fails."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .errors import InputError, RankError


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

    So does an ``OSError``, which tells of the machine: a full disk, a folder that is locked.
    """
    try:
        sys.exit(main())
    except (InputError, OSError) as error:
        if getattr(error, "tell", True):
            print(f"error: {error_line(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def size_in_pixels(text: str) -> tuple[int, int]:
    """The type of an option WxH: width and height."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, got {text!r}")
    return int(match[1]), int(match[2])


@contextmanager
def told_once_a_machine(launcher: str | None = None) -> Iterator[None]:
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
