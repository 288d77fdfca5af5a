"""The words around the numbers of a board: names, notes and differences, as plain lines.

Names come from strangers: control characters are replaced everywhere.
"""

from collections.abc import Iterable

from cerberus_bench.leaderboard.columns import Column
from cerberus_bench.leaderboard.compare import Board, Cell, Entry, Table
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
    value_text,
)
from cerberus_bench.schema.result import ModelInfo

FEW_MARK = f"<{FEW_GROUPS}"
CONTAMINATION_MARKS = {"clean": "", "contaminated": "†", "unknown": "?"}
MARKS = {
    "†": "this data shares patients or images with training data",
    "?": "not known what it was trained on",
    FEW_MARK: f"interval over fewer than {FEW_GROUPS} groups: rough",
}
RANKS_SAID = (
    "Ranks are ranges: two models part only where the 95 % interval of their paired difference"
    " leaves out zero, not corrected for the number of pairs."
)
STANDINGS_SAID = (
    "Mean rank, and wins, ties and losses over pairs of models, within one score; unlike scores"
    " are not averaged."
)


def table_notes(table: Table) -> list[str]:
    """What marks mean, which classes a table is over, budgets of training, spreads over seeds."""
    shown = [entry_name(entry).removeprefix(printable(entry.label)) for entry in table.entries]
    intervals = [cell_interval(cell) for entry in table.entries for cell in entry.cells if cell]
    used = " ".join([*shown, *intervals])
    notes = [f"{mark}  {meaning}" for mark, meaning in MARKS.items() if mark in used]
    notes += [
        f"{metric_name(column.metric)} over {len(classes)} classes: "
        + printable(", ".join(class_name(column.task, node) for node in classes))
        for column in table.columns
        if (classes := column.classes) is not None
    ]
    notes += budget_lines(entry.result.record.model for entry in table.entries)
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


def board_notes(board: Board) -> list[str]:
    """How ranks and standings are made, where there are any."""
    notes = [RANKS_SAID] if any(table.pairs for table in board.tables) else []
    return notes + ([STANDINGS_SAID] if board.standings else [])


def budget_lines(models: Iterable[ModelInfo]) -> list[str]:
    """What the training of models was given: one line a budget, with the models that had it."""
    names: dict[str, list[str]] = {}
    for model in models:
        if model.budget:
            names.setdefault(str(model.budget), []).append(model.name)
    return [
        printable(f"Trained with {budget}: {', '.join(dict.fromkeys(found))}")
        for budget, found in names.items()
    ]


def difference_text(pair: Pair) -> str:
    """First model minus second with its interval and p value in one line."""
    p = "" if pair.p is None else f", p {'< .001' if pair.p < 0.001 else f'= {pair.p:.3f}'}"
    return printable(
        f"{column_names(pair.column)[0]}, {pair.first} minus {pair.second}:"
        f" {interval_words(pair)}{p}"
    )


def spread_text(spread: Spread) -> str:
    """A spread over seeds in one line."""
    mean = value_text(spread.highest.model_copy(update={"value": spread.mean}))
    return printable(
        f"{spread.name}, {spread.n_seeds} seeds: {column_names(spread.column)[0]}"
        f" {value_text(spread.lowest)} to {value_text(spread.highest)}, mean {mean}"
    )


def interval_words(pair: Pair) -> str:
    """A difference with its interval."""
    digits = 1 if pair.column.unit else 3
    if pair.low is None or pair.high is None:
        return f"{pair.value:+.{digits}f}"
    return f"{pair.value:+.{digits}f} ({pair.low:+.{digits}f} to {pair.high:+.{digits}f})"


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


def split_text(data: DataKey) -> str:
    """A split of a dataset in words."""
    return printable(f"{data.name} {data.version}, {data.split}, fold {data.fold}")


def entry_name(entry: Entry) -> str:
    """A model as a table names it, with its mark."""
    mark = CONTAMINATION_MARKS[entry.result.record.contamination.status]
    return printable(entry.label) + (f" {mark}" if mark else "")


def cell_value(cell: Cell) -> str:
    """A value in its digits."""
    return value_text(cell.score)


def cell_interval(cell: Cell) -> str:
    """An interval, marked where it is rough."""
    text = interval_text(cell.score)
    return f"{text} {FEW_MARK}" if text and cell.score.n_groups < FEW_GROUPS else text


def printable(text: str) -> str:
    """The text without control, direction and line-breaking characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
