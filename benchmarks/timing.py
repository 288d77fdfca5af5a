"""Fair timings in one process: runs in turn, medians, ratios."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    what: str
    ours_ms: float
    baseline: str
    baseline_ms: float | None
    equal: str
    """Whether both gave the same value."""


def median_ms(*calls: Callable[[], Any]) -> list[float]:
    """Median milliseconds of each call; the calls take turns, after one run that is not counted."""
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(REPEATS + 1):
        for call, kept in zip(calls, seconds, strict=True):
            begin = time.perf_counter()
            call()
            if turn:
                kept.append(time.perf_counter() - begin)
    return [1000 * statistics.median(kept) for kept in seconds]


def show(title: str, rows: Iterable[Row]) -> None:
    """Print rows as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in ("what", "ours, ms", "baseline", "baseline, ms", "ratio", "equal"):
        table.add_column(name)
    for row in rows:
        slower = "" if row.baseline_ms is None else f"{row.baseline_ms / row.ours_ms:.1f}x"
        ms = "" if row.baseline_ms is None else f"{row.baseline_ms:.2f}"
        table.add_row(row.what, f"{row.ours_ms:.2f}", row.baseline, ms, slower, row.equal)
    Console().print(table)
