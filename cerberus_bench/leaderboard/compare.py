"""Who is better than whom, on what, and how sure that is.

Numbers are compared only within a column: one score, on one split of one dataset, by one version
of the protocol, over the same classes. Two models differ where the 95 % interval of their paired
difference leaves out zero; ranks follow from that alone and are ranges where models tie. Unlike
scores are never averaged.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from cerberus_bench.leaderboard.columns import Column, columns_of, score_in
from cerberus_bench.leaderboard.paired import Pair, Pairing
from cerberus_bench.leaderboard.store import DataKey, StoredResult, read_results
from cerberus_bench.schema.report import Score
from cerberus_bench.schema.result import ModelInfo
from cerberus_bench.schema.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Rank:
    """Places that a model may take, from one; a single place where first and last are equal."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one model reached in one column."""

    score: Score
    rank: Rank | None
    """None where the value is undefined, or there is nothing to pair it with."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model in a table."""

    label: str
    """Name of the model, with a part of its hash where the name alone is not unique, and how it was
    run where that was not exactly, in fp32, by torch."""
    result: StoredResult
    cells: tuple[Cell | None, ...]
    """One a column; None where the model has no such score."""


@dataclass(frozen=True, slots=True)
class Table:
    """All models on one task of one split of one dataset, best first by the first column."""

    data: DataKey
    synthetic: bool
    task: str
    columns: tuple[Column, ...]
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    """Every two models in every column in which both are defined."""
    unpaired: str
    """Why some models are not ranked; empty where all are, or where a model stands alone."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One model over several tables of the same score."""

    task: str
    column: Column
    label: str
    mean_rank: float | None
    """Mean of the middles of its rank ranges; None where it is missing in one of the tables."""
    wins: int
    ties: int
    losses: int
    """Pairs, over the tables, in which it is better, not distinguishable, worse."""
    n_tables: int
    """Tables of this score that rank at least two models."""


@dataclass(frozen=True, slots=True)
class Board:
    """A leaderboard."""

    tables: tuple[Table, ...]
    standings: tuple[Standing, ...]
    """Only of scores that several tables share."""


def leaderboard(results_dir: Path) -> Board:
    """Compare all results below a folder. Nothing but the folder decides what comes out.

    Raises:
        DataError: see `read_results`; or per-image counts are corrupt or do not fit their result.
    """
    return compare(read_results(results_dir))


def compare(results: Sequence[StoredResult]) -> Board:
    """Tables and standings of results that were read."""
    labels = _labels(results)
    tables = tuple(
        table
        for data in sorted({result.data for result in results})
        for table in _tables([r for r in results if r.data == data], labels)
    )
    return Board(tables, tuple(_standings(tables)))


def _labels(results: Sequence[StoredResult]) -> dict[Path, str]:
    """Result file -> label, the same for the results of one model run in one way."""
    models = {(r.record.model.name, r.record.model.file_sha256) for r in results}
    names = Counter(name for name, _ in models)
    return {r.path: _label(r.record.model, names[r.record.model.name] == 1) for r in results}


def _label(model: ModelInfo, is_unique: bool) -> str:
    sha = (model.file_sha256 or "predictions")[:8]
    extras = ", ".join(text for text in ("" if is_unique else sha, model.variant) if text)
    return f"{model.name} ({extras})" if extras else model.name


def _tables(results: Sequence[StoredResult], labels: Mapping[Path, str]) -> list[Table]:
    pairing = Pairing(results)
    tasks = [*TASKS, *sorted({s.task for r in results for s in r.record.report.scores} - {*TASKS})]
    return [
        _table(task, columns, results, labels, pairing)
        for task in tasks
        if (columns := columns_of(task, [r.record.report for r in results]))
    ]


def _table(
    task: str,
    columns: tuple[Column, ...],
    results: Sequence[StoredResult],
    labels: Mapping[Path, str],
    pairing: Pairing,
) -> Table:
    scored = [
        (labels[r.path], r)
        for r in results
        if any(score_in(column, r.record.report) for column in columns)
    ]
    scored.sort(key=lambda pair: _place(columns, pair[1], pair[0]))
    pairs = tuple(
        pair
        for column in columns
        for (one, first), (two, second) in combinations(scored, 2)
        if (pair := pairing.pair(column, one, first, two, second))
    )
    entries = tuple(
        Entry(label, result, tuple(_cell(c, label, result, pairs, scored) for c in columns))
        for label, result in scored
    )
    return Table(
        results[0].data,
        results[0].record.data.synthetic,
        task,
        columns,
        entries,
        pairs,
        pairing.missing([result for _, result in scored]) if len(scored) > 1 else "",
    )


def _place(
    columns: tuple[Column, ...], result: StoredResult, label: str
) -> tuple[tuple[bool, float], ...] | tuple[object, ...]:
    def key(column: Column) -> tuple[bool, float]:
        score = score_in(column, result.record.report)
        if score is None or score.value is None:
            return True, 0.0
        return False, score.value if column.lower_is_better else -score.value

    return (*(key(column) for column in columns), label)


def _cell(
    column: Column,
    label: str,
    result: StoredResult,
    pairs: Sequence[Pair],
    scored: Sequence[tuple[str, StoredResult]],
) -> Cell | None:
    score = score_in(column, result.record.report)
    if score is None:
        return None
    mine = [p for p in pairs if p.column == column and label in (p.first, p.second)]
    rivals = sum(other != label and _is_defined(column, r) for other, r in scored)
    if score.value is None or not rivals or len(mine) != rivals:
        return Cell(score, None)
    losses = sum(pair.outcome(label) < 0 for pair in mine)
    wins = sum(pair.outcome(label) > 0 for pair in mine)
    return Cell(score, Rank(1 + losses, 1 + len(mine) - wins))


def _is_defined(column: Column, result: StoredResult) -> bool:
    score = score_in(column, result.record.report)
    return score is not None and score.value is not None


def _standings(tables: Sequence[Table]) -> list[Standing]:
    kinds = dict.fromkeys((table.task, column) for table in tables for column in table.columns)
    return [standing for task, column in kinds for standing in _standing(task, column, tables)]


def _standing(task: str, column: Column, tables: Sequence[Table]) -> list[Standing]:
    shared = [
        ranks
        for table in tables
        if table.task == task
        and column in table.columns
        and len(ranks := _ranks(table, column)) > 1
    ]
    if len(shared) < 2:
        return []
    pairs = [p for table in tables for p in table.pairs if p.column == column]
    standings = []
    for label in dict.fromkeys(label for ranks in shared for label in ranks):
        outcomes = [p.outcome(label) for p in pairs if label in (p.first, p.second)]
        middles = [(r[label].first + r[label].last) / 2 for r in shared if label in r]
        mean = sum(middles) / len(middles) if len(middles) == len(shared) else None
        wins, ties, losses = (sum(o == sign for o in outcomes) for sign in (1, 0, -1))
        standings.append(Standing(task, column, label, mean, wins, ties, losses, len(shared)))
    return sorted(standings, key=lambda s: (s.mean_rank is None, s.mean_rank or 0.0, s.label))


def _ranks(table: Table, column: Column) -> dict[str, Rank]:
    index = table.columns.index(column)
    cells = [(entry.label, entry.cells[index]) for entry in table.entries]
    return {label: cell.rank for label, cell in cells if cell is not None and cell.rank is not None}
