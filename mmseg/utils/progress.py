"""A bar that shows how far a long job is."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def with_progress(
    items: Iterable[Item], description: str, total: float | None = None
) -> Iterator[Item]:
    """Yield ``items`` and draw a bar on stderr; nothing where that is no terminal.

    Args:
        items: what the job goes through.
        description: of the job, before the bar.
        total: how many there are; by default their length, if they have one.
    """
    console = Console(file=sys.stderr)
    yield from track(items, description, total, console=console, disable=not console.is_terminal)
