"""Log everything to the file of a run, but show on the console only what a user must act on."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path

import mmengine
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger

LIBRARY = Path(mmengine.__file__).parent


class ConsoleHandler(logging.Handler):
    """Print warnings and errors of this project and of a user's code in one line each.

    Those of mmengine are only in the log file. Ranks other than 0 print errors only.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING if is_main_process() else logging.ERROR)
        self.seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record, unless it is mmengine's or a repetition."""
        line = f"{record.levelname.lower()}: {' '.join(record.getMessage().split())}"
        if LIBRARY not in Path(record.pathname).parents and line not in self.seen:
            self.seen.add(line)
            print(line, flush=True)


def show_only_warnings(logger: MMLogger) -> None:
    """Replace the handler of a new logger that prints every record by a :class:`ConsoleHandler`."""
    for handler in [each for each in logger.handlers if type(each) is logging.StreamHandler]:
        logger.removeHandler(handler)
    if not any(isinstance(handler, ConsoleHandler) for handler in logger.handlers):
        logger.addHandler(ConsoleHandler())


@contextmanager
def python_warnings_kept() -> Iterator[MemoryHandler]:
    """Keep the warnings that Python and libraries issue in the block, instead of printing them.

    Yields:
        Their handler, which holds them until it is given a target, see :func:`log_to_file_of`.
    """
    kept, logger = MemoryHandler(1000, logging.WARNING), logging.getLogger("py.warnings")
    logger.addHandler(kept)
    propagate, logger.propagate = logger.propagate, False
    logging.captureWarnings(True)
    try:
        yield kept
    finally:
        logging.captureWarnings(False)
        logger.propagate = propagate
        logger.removeHandler(kept)


def log_to_file_of(logger: MMLogger, kept: MemoryHandler) -> None:
    """Write kept warnings, and those to come, to the log file of a run; only rank 0 has one."""
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            kept.setTarget(handler)
            kept.flush()
