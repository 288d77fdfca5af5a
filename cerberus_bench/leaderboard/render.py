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
from cerberus_bench.leaderboard.paired import Pair
from cerberus_bench.leaderboard.seeds import Spread, seed_spreads
from cerberus_bench.leaderboard.store import DataKey
from cerberus_bench.pictures.wording import (
    AVERAGING_NAMES,
    FEW_GROUPS,
    UNIT_NAMES,
    class_name,
    interval_text,
    metric_name,
    task_name,
    value_text,
)

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

Row = dict[str, str | int | float | bool | None]

FEW_MARK = f"<{FEW_GROUPS}"
CONTAMINATION_MARKS = {"clean": "", "contaminated": "†", "unknown": "?"}
MARKS = {
    "†": "this data shares patients or images with training data",
    "?": "not known what it was trained on",
    FEW_MARK: f"interval over fewer than {FEW_GROUPS} groups: rough",
}
STANDING_HEAD = ("Model", "Mean rank", "Wins", "Ties", "Losses", "Tables")
MARKDOWN_ESCAPES = str.maketrans(
    {c: f"\\{c}" for c in "\\`*_{}[]#~$"} | {c: f"&#{ord(c)};" for c in "|&<>@"}
)
ABSENT = "-"
RANKS_SAID = (
    "Ranks are ranges: two models part only where the 95 % interval of their paired difference"
    " leaves out zero, not corrected for the number of pairs."
)
STANDINGS_SAID = (
    "Mean rank, and wins, ties and losses over pairs of models, within one score; unlike scores"
    " are not averaged."
)


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


def printable(text: str) -> str:
    """The text without control, direction and line-breaking characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _title(table: Table) -> str:
    title = f"{task_name(table.task)} on {split_text(table.data)}"
    return title + (", synthetic data" if table.synthetic else "")


def split_text(data: DataKey) -> str:
    """A split of a dataset in words."""
    return printable(f"{data.name} {data.version}, {data.split}, fold {data.fold}")


def heading(column: Column) -> str:
    """A column as it is printed: score, classes, averaging, convention, unit."""
    name, detail = column_names(column)
    return f"{name} ({detail})"


def column_names(column: Column) -> tuple[str, str]:
    """What is scored, and how: averaging, convention, unit."""
    parts = [metric_name(column.metric)]
    if column.class_name:
        parts.append(class_name(column.task, column.class_name))
    if column.classes is not None:
        parts.append(f"over {len(column.classes)} classes")
    detail = [AVERAGING_NAMES[column.averaging], column.convention]
    if column.unit:
        detail.append(UNIT_NAMES.get(column.unit, column.unit))
    return printable(" ".join(parts)), printable(", ".join(detail))


def _name(entry: Entry) -> str:
    mark = CONTAMINATION_MARKS[entry.result.record.contamination.status]
    return printable(entry.label) + (f" {mark}" if mark else "")


def _value(cell: Cell) -> str:
    return value_text(cell.score)


def _interval(cell: Cell) -> str:
    text = interval_text(cell.score)
    return f"{text} {FEW_MARK}" if text and cell.score.n_groups < FEW_GROUPS else text


def table_notes(table: Table) -> list[str]:
    """What the marks of a table mean, which classes it is over, how far seeds spread."""
    shown = [_name(entry).removeprefix(printable(entry.label)) for entry in table.entries]
    intervals = [_interval(cell) for entry in table.entries for cell in entry.cells if cell]
    used = " ".join([*shown, *intervals])
    notes = [f"{mark}  {meaning}" for mark, meaning in MARKS.items() if mark in used]
    notes += [
        f"{metric_name(column.metric)} over {len(classes)} classes: "
        + printable(", ".join(class_name(column.task, node) for node in classes))
        for column in table.columns
        if (classes := column.classes) is not None
    ]
    notes += [spread_text(spread) for spread in seed_spreads(table)]
    if table.unpaired:
        notes.append(f"Not ranked: {printable(table.unpaired)}")
    return list(dict.fromkeys(notes))


def difference_lines(table: Table) -> list[str]:
    """Every other model against the first of the table, in each column: one line a difference."""
    lead = table.entries[0].label
    return [
        difference_text(pair if pair.first == lead else pair.swapped())
        for pair in table.pairs
        if lead in (pair.first, pair.second)
    ]


def difference_text(pair: Pair) -> str:
    """First model minus second with its interval and p value in one line."""
    p = "" if pair.p is None else f", p {'< .001' if pair.p < 0.001 else f'= {pair.p:.3f}'}"
    return printable(
        f"{column_names(pair.column)[0]}, {pair.first} minus {pair.second}:"
        f" {interval_words(pair)}{p}"
    )


def interval_words(pair: Pair) -> str:
    """A difference with its interval."""
    digits = 1 if pair.column.unit else 3
    if pair.low is None or pair.high is None:
        return f"{pair.value:+.{digits}f}"
    return f"{pair.value:+.{digits}f} ({pair.low:+.{digits}f} to {pair.high:+.{digits}f})"


def spread_text(spread: Spread) -> str:
    """A spread over seeds in one line."""
    mean = value_text(spread.highest.model_copy(update={"value": spread.mean}))
    return printable(
        f"{spread.name}, {spread.n_seeds} seeds: {column_names(spread.column)[0]}"
        f" {value_text(spread.lowest)} to {value_text(spread.highest)}, mean {mean}"
    )


def board_notes(board: Board) -> list[str]:
    """How ranks and standings are made, where there are any."""
    notes = [RANKS_SAID] if any(table.pairs for table in board.tables) else []
    return notes + ([STANDINGS_SAID] if board.standings else [])


def _standing_cells(standing: Standing) -> list[str]:
    mean = ABSENT if standing.mean_rank is None else f"{standing.mean_rank:.1f}"
    counts = (standing.wins, standing.ties, standing.losses, standing.n_tables)
    score = f"{task_name(standing.task)}: {heading(standing.column)}"
    return [score, printable(standing.label), mean, *map(str, counts)]


def _markdown_table(table: Table) -> str:
    head = ["Model", "Kind", *(escaped(heading(column)) for column in table.columns)]
    rows = [
        [
            escaped(_name(entry)),
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
    lines = (f"**{escaped(_value(cell))}**", escaped(_interval(cell)), rank)
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
        name, kind = Text(_name(entry), style="bold"), Text(entry.result.record.model.kind)
        shown.add_row(name, kind, *map(_rich_cell, entry.cells))
    return shown


def _rich_cell(cell: Cell | None) -> "Text":
    from rich.text import Text

    if cell is None:
        return Text(ABSENT, style="dim")
    text = Text(printable(_value(cell)), style="bold" if cell.score.value is not None else "dim")
    if cell.rank:
        text.append(f"  rank {cell.rank}", style="cyan not bold")
    if interval := _interval(cell):
        text.append(f"\n{interval}", style="dim not bold")
    return text


def _rich_standings(standings: Sequence[Standing]) -> "RichTable":
    from rich.text import Text

    shown = _empty_rich_table("Over all data")
    for index, heading in enumerate(["Score", *STANDING_HEAD]):
        shown.add_column(heading, justify="left" if index < 2 else "right", overflow="fold")
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
