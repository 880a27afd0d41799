"""Exceptions for mistakes that the user can correct."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """A mistake in the input: a file, a folder, a setting, a command line.

    The message is one line that says what is wrong and what to do; the tools print it and exit
    with status 1 instead of showing a traceback.

    Attributes:
        tell: whether this process prints it; of several with the same error only one does.
    """

    tell = True


class RankError(InputError):
    """An error of one process of a distributed run, which the others notice when it has ended."""


class SharedError(RankError):
    """An error that all processes of a distributed run raise at the same point."""


class Interrupted(KeyboardInterrupt):
    """An interruption by the user, whose message says how to go on.

    Attributes:
        tell: whether this process prints it.
    """

    def __init__(self, message: str = "", tell: bool = True) -> None:
        super().__init__(message)
        self.tell = tell


@contextmanager
def built_from_config(what: str) -> Iterator[None]:
    """Turn errors of constructors about their arguments into an :class:`InputError`.

    Other errors keep their traceback, for developers.

    Args:
        what: name of the part that is built in the block.
    """
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"the config's {what} cannot be built without a package that is missing: {error}"
        ) from error
    except KeyError as error:  # of mmengine, with a link to its manual
        found, is_of_registry, _ = " ".join(map(str, error.args)).partition(" registry.")
        if not is_of_registry:
            raise
        raise InputError(f"the config's {what} cannot be built: {found} registry") from error
    except (ValueError, TypeError) as error:
        if type(error) is TypeError and "argument" not in str(error):
            raise
        raise InputError(f"the config's {what} cannot be built: {error}") from error
