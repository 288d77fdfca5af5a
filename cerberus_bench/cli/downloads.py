"""What `download` shows: licences to agree to, bytes as they come, and what to do next."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cerberus_bench.cli import show

if TYPE_CHECKING:
    from cerberus_bench.workflows.download import Download


def agree(terms: str) -> bool:
    """Show the terms and ask; nobody is asked where input or output is no terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    import typer

    show.err.print(terms, markup=False)
    return typer.confirm("Do you accept this licence?", err=True)


@contextmanager
def progress() -> Iterator[Callable[[int, int, str], None]]:
    """A bar of bytes a file on stderr, gone when done; it starts with the first byte."""
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=show.err,
        transient=True,
    )
    bars: dict[str, Any] = {}

    def advance(done: int, total: int, name: str) -> None:
        shown.start()
        if name not in bars:
            bars[name] = shown.add_task(escape(name))
        shown.update(bars[name], completed=done, total=total or None)

    try:
        yield advance
    finally:
        shown.stop()


def downloads_json(done: Sequence["Download"]) -> list[dict[str, Any]]:
    """The outcome as plain containers."""
    return [asdict(one) | {"next": one.next_command} for one in done]


def show_downloads(done: Sequence["Download"]) -> None:
    """A paragraph a dataset: files and their hashes, what is lacking, the next command."""
    for one in done:
        say = show.out.print
        say(f"[bold]{escape(one.name)}[/]: {one.state} ({escape(one.licence)})", soft_wrap=True)
        if one.place:
            say(f"  on the Hub: {one.place}", soft_wrap=True, markup=False)
        elif one.state != "embedded":
            say("  not published on the Hub; from its source:", soft_wrap=True, markup=False)
        for file in one.files:
            how = "downloaded" if file.is_new else "already there"
            checked = "as expected" if file.is_verified else "the spec knows none to compare"
            say(f"  {file.path}  {file.n_bytes:,} bytes, {how}", soft_wrap=True, markup=False)
            say(f"    sha256 {file.sha256} ({checked})", soft_wrap=True, markup=False)
        if one.state == "gated":
            files = ", ".join(one.lacking) or "the files"
            say(f"  not public: {files}", soft_wrap=True, markup=False)
            say(f"  {one.how_to_get} Put it into {one.folder}, then:", soft_wrap=True, markup=False)
        if one.state == "recipe":
            say(f"  {one.how_to_get} Then:", soft_wrap=True, markup=False)
        say(f"  {one.next_command}", soft_wrap=True, markup=False)
