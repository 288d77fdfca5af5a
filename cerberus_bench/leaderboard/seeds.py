"""One model trained from several seeds: how far its scores spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from cerberus_bench.leaderboard.columns import Column
from cerberus_bench.leaderboard.compare import Entry, Table
from cerberus_bench.schema.report import Score
from cerberus_bench.schema.result import ModelInfo


@dataclass(frozen=True, slots=True)
class Spread:
    """The scores of one model over its seeds, in one column."""

    name: str
    column: Column
    n_seeds: int
    lowest: Score
    highest: Score
    mean: float


def family(model: ModelInfo) -> tuple[object, ...]:
    """What the runs of one model share.

    That is all but seed and file: name, architecture, tasks, parameters, the budget of its
    training, and how it was run.
    """
    what = (model.name, model.architecture, tuple(model.tasks), model.parameters)
    return *what, str(model.budget), model.variant


def seed_spreads(table: Table) -> list[Spread]:
    """Spreads of the models that stand in a table with two seeds or more."""
    families: dict[tuple[object, ...], list[Entry]] = {}
    for entry in table.entries:
        model = entry.result.record.model
        if model.seed is not None:
            families.setdefault(family(model), []).append(entry)
    return [
        spread
        for entries in families.values()
        if len({entry.result.record.model.seed for entry in entries}) > 1
        for i, column in enumerate(table.columns)
        if (spread := _spread(column, i, entries))
    ]


def _spread(column: Column, index: int, entries: Sequence[Entry]) -> Spread | None:
    cells = [entry.cells[index] for entry in entries]
    scored = sorted(
        (cell.score.value, i, cell.score)
        for i, cell in enumerate(cells)
        if cell is not None and cell.score.value is not None
    )
    if len(scored) < 2:
        return None
    model = entries[0].result.record.model
    name = f"{model.name} ({model.variant})" if model.variant else model.name
    mean = fmean(value for value, _, _ in scored)
    return Spread(name, column, len(scored), scored[0][2], scored[-1][2], mean)
