"""Show a training run to a person: facts, progress and events, on a terminal or in plain lines."""

import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import timedelta

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

#: Columns of the names in front of facts.
INDENT = 12


class RunConsole:
    """Standard output of a run: a progress bar on a terminal, else a line from time to time.

    The bar stays below everything that is printed while it is shown.

    Args:
        total: number of iterations.
        done: number of iterations that earlier starts of the run have done.
    """

    def __init__(self, total: int, done: int = 0) -> None:
        self.total, self.done = total, done
        self.left: timedelta | None = None
        self.values: Sequence[str] = ()
        self.console = Console()
        self.bar = Progress(
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.percentage:.0f}%"),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            expand=True,
        )
        self.task = self.bar.add_task("", total=total, completed=done, left="")
        # rich takes $FORCE_COLOR for a terminal, which pipes of a CI service often set.
        self.is_live = self.console.is_interactive and sys.stdout.isatty()
        self.live = Live(
            get_renderable=lambda: Group(self.bar, Columns(self.values, padding=(0, 2))),
            console=self.console,
            transient=True,
        )

    def start(self) -> None:
        """Show the bar."""
        if self.is_live:
            self.live.start(refresh=True)

    def close(self) -> None:
        """Remove the bar and restore the terminal; may be called at any time and repeatedly."""
        self.live.stop()

    def print_facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Print names and values below each other.

        On a terminal long values continue below their first word. Paths are never broken, so that
        they can be copied.
        """
        for name, value in facts:
            if not self.is_live:
                print(f"{name:<{INDENT}}{value}", flush=True)
                continue
            text = textwrap.fill(
                value,
                max(self.console.width, 2 * INDENT),
                initial_indent=name.ljust(INDENT),
                subsequent_indent=" " * INDENT,
                break_long_words=False,
                break_on_hyphens=False,
            )
            line = Text(text)
            line.stylize("bold", 0, len(name))
            self.console.print(line, soft_wrap=True)

    def print_line(self, line: str) -> None:
        """Print a line."""
        if self.is_live:
            self.console.print(Text(line), soft_wrap=True)
        else:
            print(line, flush=True)

    def advance(self, done: int, left: float) -> None:
        """Move the bar.

        Args:
            done: number of iterations done.
            left: estimated seconds until the end.
        """
        self.done, self.left = done, timedelta(seconds=int(left))
        if self.is_live:
            self.bar.update(self.task, completed=done, left=f"{self.left} left")

    def show_values(self, values: Sequence[str]) -> None:
        """Show values under the bar, or print a line with them."""
        self.values = values
        if not self.is_live:
            count = f"[{self.done:>{len(str(self.total))}}/{self.total}]"
            print("  ".join([count, *values, f"{self.left} left"]), flush=True)

    def show_evaluation(self, image: int, images: int) -> None:
        """Show under the bar how far an evaluation is; print nothing without a terminal."""
        self.values = (f"evaluating image {image} of {images}",)
