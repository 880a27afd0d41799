"""Parse the command line of any command; print an error by one of several processes."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmseg.utils import InputError, RankError


class Parser(argparse.ArgumentParser):
    """A parser that refuses empty arguments: an empty path would be the current folder."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as usual; an empty argument, or an option ``--name=``, is a usage error."""
        given = sys.argv[1:] if args is None else list(args)
        for before, argument in zip(["", *given], given, strict=False):
            option = argument.startswith("--") and argument.endswith("=")
            if not argument or option:
                name = argument if option else before if before.startswith("-") else ""
                self.error(" ".join(filter(None, ("argument", name.rstrip("="), "is empty"))))
        return super().parse_known_args(given, namespace)


@contextmanager
def print_on_local_rank0(launcher: str | None = None) -> Iterator[None]:
    """Print an error from before the process group exists only on local rank 0.

    Such an error is in the config or the command line, which all processes read.

    Args:
        launcher: "slurm" if SLURM has started the processes.
    """
    try:
        yield
    except InputError as error:
        if not isinstance(error, RankError):
            name = "SLURM_LOCALID" if launcher == "slurm" else "LOCAL_RANK"
            error.tell = os.environ.get(name, "0") == "0"
        raise
