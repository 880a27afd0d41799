"""Use two threads for every benchmark, and print a Markdown table of the measurements."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

NUM_THREADS = 2


@dataclass
class Row:
    """One line of the table; times are of the fastest round, in seconds."""

    name: str
    seconds: float
    baseline: str = ""
    baseline_seconds: float = 0.0
    note: str = ""

    @property
    def ratio(self) -> float:
        """Time of the baseline divided by the time of the function."""
        return self.baseline_seconds / self.seconds

    def markdown(self) -> str:
        """Format the row of the table."""
        cells = [self.name, f"{1e3 * self.seconds:.1f} ms"]
        if self.baseline:
            cells += [f"{self.baseline}: {1e3 * self.baseline_seconds:.1f} ms", f"{self.ratio:.1f}"]
        else:
            cells += ["", ""]
        return f"| {' | '.join([*cells, self.note])} |"


ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(NUM_THREADS)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def measure(benchmark, request) -> Callable[..., Row]:
    """``measure(name, run)``: time a function, and with ``than=(name, function)`` a baseline too.

    The two alternate, so that other load on the machine affects both, and the fastest
    round of each counts, the one least disturbed.
    """

    def measure(
        name: str,
        run: Callable[[], object],
        than: tuple[str, Callable[[], object]] | None = None,
        rounds: int = 10,
        note: str = "",
    ) -> Row:
        baseline_times = []

        def time_baseline() -> None:
            start = time.perf_counter()
            than[1]()
            baseline_times.append(time.perf_counter() - start)

        benchmark.pedantic(
            run, setup=time_baseline if than else None, rounds=rounds, warmup_rounds=1
        )
        row = Row(name, benchmark.stats.stats.min, note=note)
        if than:
            # The first one is the warm-up's.
            row.baseline, row.baseline_seconds = than[0], min(baseline_times[1:])
        request.config.stash.setdefault(ROWS, []).append(row)
        return row

    return measure


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    terminalreporter.section(
        f"fastest round, {NUM_THREADS} threads, torch {torch.__version__}, load average {load}"
    )
    terminalreporter.write_line("| what | time | compared with | times as fast | |")
    terminalreporter.write_line("|---|---|---|---|---|")
    for row in rows:
        terminalreporter.write_line(row.markdown())
