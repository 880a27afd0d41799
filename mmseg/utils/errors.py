"""The one exception for what the user can put right."""


class InputError(ValueError):
    """A mistake in the input: a file, a folder, a setting, a command line.

    The message is one line that says what is wrong and what to do; the tools print it and exit
    with status 1 instead of showing a traceback.
    """
