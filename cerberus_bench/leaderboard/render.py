"""A board as rows, JSON, CSV, GitHub Markdown and terminal tables.

Names come from strangers: control characters are replaced everywhere, markup is escaped in
Markdown, and a cell that a spreadsheet would run as a formula is quoted in CSV.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from cerberus_bench.leaderboard.columns import Column
from cerberus_bench.leaderboard.compare import Board, Cell, Entry, Standing, Table
from cerberus_bench.leaderboard.notes import (
    board_notes,
    cell_interval,
    cell_value,
    difference_lines,
    entry_name,
    heading,
    printable,
    split_text,
    table_notes,
)
from cerberus_bench.pictures.wording import FEW_GROUPS, task_name

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

Row = dict[str, str | int | float | bool | None]

STANDING_HEAD = ("Model", "Mean rank", "Wins", "Ties", "Losses", "Tables")
MARKDOWN_ESCAPES = str.maketrans(
    {c: f"\\{c}" for c in "\\`*_{}[]#~$"} | {c: f"&#{ord(c)};" for c in "|&<>@"}
)
ABSENT = "-"


def board_rows(board: Board) -> list[Row]:
    """One flat row a score: table, model, score, interval, rank, marks, pairs left to JSON."""
    return [
        _row(table, entry, column, cell)
        for table in board.tables
        for entry in table.entries
        for column, cell in zip(table.columns, entry.cells, strict=True)
        if cell is not None
    ]


def to_json(board: Board) -> str:
    """Rows, paired differences and standings."""
    content = {
        "rows": board_rows(board),
        "pairs": [
            {**table.data._asdict(), **asdict(pair)}
            for table in board.tables
            for pair in table.pairs
        ],
        "standings": [asdict(standing) for standing in board.standings],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_csv(board: Board) -> str:
    """The rows, with a header line."""
    rows = board_rows(board)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _no_formula(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def to_markdown(board: Board) -> str:
    """Tables in GitHub Markdown."""
    blocks = [_markdown_table(table) for table in board.tables]
    if board.standings:
        head = ["Score", *STANDING_HEAD]
        rows = [[escaped(cell) for cell in _standing_cells(s)] for s in board.standings]
        blocks.append(f"### Over all data\n\n{pipes(head, rows)}")
    blocks.extend(escaped(note) for note in board_notes(board))
    return "\n\n".join(blocks) + "\n"


def to_terminal(board: Board) -> "Group":
    """Tables for a `rich` console."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for table in board.tables:
        parts.append(_rich_table(table))
        parts.extend(Text(line) for line in difference_lines(table))
        parts.extend(Text(note, style="dim") for note in table_notes(table))
        parts.append(Text(""))
    if board.standings:
        parts.append(_rich_standings(board.standings))
    parts.extend(Text(note, style="dim") for note in board_notes(board))
    return Group(*parts)


def _row(table: Table, entry: Entry, column: Column, cell: Cell) -> Row:
    return table_fields(table) | entry_fields(entry) | column_fields(column) | cell_fields(cell)


def table_fields(table: Table) -> Row:
    """The part of a row that a whole table shares: task and data."""
    return {
        "task": table.task,
        "dataset": table.data.name,
        "dataset_version": table.data.version,
        "fingerprint": table.data.fingerprint,
        "split": table.data.split,
        "fold": table.data.fold,
        "protocol_version": table.data.protocol_version,
        "synthetic": table.synthetic,
    }


def entry_fields(entry: Entry) -> Row:
    """The part of a row that a model's scores in one table share."""
    record = entry.result.record
    return {
        "model": entry.label,
        "model_sha256": record.model.file_sha256,
        "kind": record.model.kind,
        "parameters": record.model.parameters,
        "seed": record.model.seed,
        "budget": str(record.model.budget) if record.model.budget else None,
        "variant": record.model.variant,
        "contamination": record.contamination.status,
        "created_utc": record.created_utc,
    }


def column_fields(column: Column) -> Row:
    """The part of a row that says which score it is."""
    return {
        "metric": column.metric,
        "class": column.class_name,
        "classes": None if column.classes is None else " ".join(column.classes),
        "convention": column.convention,
        "averaging": column.averaging,
        "unit": column.unit,
    }


def cell_fields(cell: Cell) -> Row:
    """The part of a row that is one number and how sure it is."""
    score = cell.score
    return {
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "rank_first": cell.rank.first if cell.rank else None,
        "rank_last": cell.rank.last if cell.rank else None,
        "n_images": score.n_images,
        "n_groups": score.n_groups,
        "n_objects": score.n_objects,
        "n_undefined": score.n_undefined,
        "n_infinite": score.n_infinite,
        "few_groups": score.n_groups < FEW_GROUPS,
    }


def _no_formula(value: object) -> object:
    if isinstance(value, str):
        clean = printable(value)
        return f"'{clean}" if clean.startswith(("=", "+", "-", "@")) else clean
    return value


def _title(table: Table) -> str:
    title = f"{task_name(table.task)} on {split_text(table.data)}"
    return title + (", synthetic data" if table.synthetic else "")


def _standing_cells(standing: Standing) -> list[str]:
    mean = ABSENT if standing.mean_rank is None else f"{standing.mean_rank:.1f}"
    counts = (standing.wins, standing.ties, standing.losses, standing.n_tables)
    score = f"{task_name(standing.task)}: {heading(standing.column)}"
    return [score, printable(standing.label), mean, *map(str, counts)]


def _markdown_table(table: Table) -> str:
    head = ["Model", "Kind", *(escaped(heading(column)) for column in table.columns)]
    rows = [
        [
            escaped(entry_name(entry)),
            entry.result.record.model.kind,
            *map(_markdown_cell, entry.cells),
        ]
        for entry in table.entries
    ]
    differences = [f"- {escaped(line)}" for line in difference_lines(table)]
    notes = [escaped(note) for note in table_notes(table)]
    blocks = [
        f"### {escaped(_title(table))}",
        pipes(head, rows),
        "\n".join(differences),
        *notes,
    ]
    return "\n\n".join(block for block in blocks if block)


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return ABSENT
    rank = f"rank {cell.rank}" if cell.rank else ""
    lines = (f"**{escaped(cell_value(cell))}**", escaped(cell_interval(cell)), rank)
    return "<br>".join(line for line in lines if line)


def escaped(text: str) -> str:
    """Text that GitHub shows as it is, without markup, links or mentions."""
    return text.translate(MARKDOWN_ESCAPES).replace("://", "&#58;//")


def pipes(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first two columns to the left, the others to the right."""
    lines = [head, ["---"] * 2 + ["---:"] * (len(head) - 2), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rich_table(table: Table) -> "RichTable":
    from rich.text import Text

    shown = _empty_rich_table(_title(table))
    shown.add_column("Model", overflow="fold")
    shown.add_column("Kind")
    for column in table.columns:
        shown.add_column(Text(heading(column)), justify="right", overflow="fold")
    for entry in table.entries:
        name, kind = Text(entry_name(entry), style="bold"), Text(entry.result.record.model.kind)
        shown.add_row(name, kind, *map(_rich_cell, entry.cells))
    return shown


def _rich_cell(cell: Cell | None) -> "Text":
    from rich.text import Text

    if cell is None:
        return Text(ABSENT, style="dim")
    text = Text(
        printable(cell_value(cell)), style="bold" if cell.score.value is not None else "dim"
    )
    if cell.rank:
        text.append(f"  rank {cell.rank}", style="cyan not bold")
    if interval := cell_interval(cell):
        text.append(f"\n{interval}", style="dim not bold")
    return text


def _rich_standings(standings: Sequence[Standing]) -> "RichTable":
    from rich.text import Text

    shown = _empty_rich_table("Over all data")
    for index, head in enumerate(["Score", *STANDING_HEAD]):
        shown.add_column(head, justify="left" if index < 2 else "right", overflow="fold")
    for standing in standings:
        shown.add_row(*(Text(cell) for cell in _standing_cells(standing)))
    return shown


def _empty_rich_table(title: str) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    return RichTable(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
