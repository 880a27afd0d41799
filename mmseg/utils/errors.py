"""The one exception for what the user can put right."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """A mistake in the input: a file, a folder, a setting, a command line.

    The message is one line that says what is wrong and what to do; the tools print it and exit
    with status 1 instead of showing a traceback.

    Attributes:
        tell: whether this process is to print it; of several with the same error, one does.
    """

    tell = True


class RankError(InputError):
    """An error of one process of a distributed run; the others hear of it when it is gone."""


class SharedError(RankError):
    """An error that all processes of a distributed run raise at the same point."""


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
    except ImportError as error:
        raise InputError(
            f"the config's {what} cannot be built without a package that is missing: {error}"
        ) from error
    except KeyError as error:  # mmengine's, with a link to its manual
        found, is_of_registry, _ = " ".join(map(str, error.args)).partition(" registry.")
        if not is_of_registry:
            raise
        raise InputError(f"the config's {what} cannot be built: {found} registry") from error
    except (ValueError, TypeError) as error:
        if type(error) is TypeError and "argument" not in str(error):
            raise
        raise InputError(f"the config's {what} cannot be built: {error}") from error
