"""One measurement in a process of its own, see :mod:`benchmarks.compare`."""

import sys

from mmseg.utils.cli import run_main

from .compare import answer

if __name__ == "__main__":
    run_main(lambda: answer(*sys.argv[1:]))
