"""Messages to the log of the current run."""

from mmengine.logging import MMLogger


def warn_user(message: str) -> None:
    """Log a warning that a user must act on; during training the console shows it in one line.

    Warnings that libraries log are only in the log file.
    """
    MMLogger.get_current_instance().warning(message)
