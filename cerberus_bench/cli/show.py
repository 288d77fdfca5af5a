"""Tables, progress and JSON: stdout carries the answer, stderr all the rest."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=1, allow_nan=False, default=str))


def warn(text: str | None) -> None:
    """A warning on stderr, where there is something to tell."""
    if text:
        err.print("[bold yellow]warning:[/] ", end="")
        err.print(text, markup=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr, gone when done; yields the `Progress` callback of the workflows."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as shown:
        bar = shown.add_task("", total=None)

        def advance(done: int, total: int, what: str) -> None:
            shown.update(bar, completed=done, total=total, description=escape(what))

        yield advance


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A plain table on stdout; numbers (int, float) align right."""
    rows = [list(row) for row in rows]
    shown = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = any(isinstance(row[i], int | float) for row in rows)
        shown.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(_cell(value)) for value in row))
    out.print(shown)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)
