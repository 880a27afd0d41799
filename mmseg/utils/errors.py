"""The one exception for what the user can put right."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """A mistake in the input: a file, a folder, a setting, a command line.

    The message is one line that says what is wrong and what to do; the tools print it and exit
    with status 1 instead of showing a traceback.
    """


@contextmanager
def built_from_config(what: str) -> Iterator[None]:
    """Turn the complaints of constructors about their arguments into an :class:`InputError`.

    Other errors are left alone: who changes the code wants to see where it fails.

    Args:
        what: is built in the block.
    """
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        if type(error) is TypeError and "argument" not in str(error):
            raise
        raise InputError(f"the config's {what} cannot be built: {error}") from error
