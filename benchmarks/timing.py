"""Fair timings in one process: runs in turn, medians, ratios."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

T = TypeVar("T")

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    what: str
    ours_ms: float | None
    baseline: str
    baseline_ms: float | None
    equal: str
    """Whether both gave the same value, or by how much they differ."""

    @classmethod
    def absent(cls, what: str, baseline: str, reason: str) -> Self:
        """A comparison that this machine cannot make."""
        return cls(what, None, baseline, None, reason)

    def cells(self) -> tuple[str, ...]:
        """As text: what, ours, baseline, its time, how many times ours is faster, equal."""
        shown = [f"{ms:,.2f}" if ms is not None else "" for ms in (self.ours_ms, self.baseline_ms)]
        known = self.ours_ms is not None and self.baseline_ms is not None
        ratio = f"{self.baseline_ms / self.ours_ms:,.1f}x" if known else ""  # type: ignore[operator]
        return self.what, shown[0], self.baseline, shown[1], ratio, self.equal


HEADER = ("what", "ours, ms", "baseline", "baseline, ms", "ratio", "equal, or difference")


def median_ms(
    *calls: Callable[[], Any],
    repeats: int = REPEATS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median milliseconds of each call; the calls take turns, after one run that is not counted."""
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats + 1):
        for call, kept in zip(calls, seconds, strict=True):
            begin = clock()
            call()
            if turn:
                kept.append(clock() - begin)
    return [1000 * statistics.median(kept) for kept in seconds]


def once_ms(call: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds of one call, for what takes a minute, and what it gave."""
    begin = time.perf_counter()
    value = call()
    return 1000 * (time.perf_counter() - begin), value


def show(title: str, rows: Iterable[Row]) -> None:
    """Print rows as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in HEADER:
        table.add_column(name)
    for row in rows:
        table.add_row(*row.cells())
    Console().print(table)


def markdown(rows: Iterable[Row]) -> str:
    """Rows as a table for docs/benchmarks.md."""
    lines = [HEADER, ("---", "---:", "---", "---:", "---:", "---"), *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
