"""Boards made by hand, for tests of the page: no evaluation, no counts, quick at any size."""

from collections.abc import Sequence
from pathlib import Path

from result_builders import make_result, make_score

from cerberus_bench.leaderboard.columns import Column, columns_of, score_in
from cerberus_bench.leaderboard.compare import Board, Cell, Entry, Rank, Table
from cerberus_bench.leaderboard.paired import Pair
from cerberus_bench.leaderboard.store import StoredResult
from cerberus_bench.schema.report import Score
from cerberus_bench.schema.result import Contamination

HALF_WIDTH = 0.03
"""Of every interval of these boards."""
STATUSES = ("clean", "clean", "clean", "contaminated", "unknown")


def make_board(
    n_models: int,
    datasets: Sequence[str] = ("phantom",),
    tasks: Sequence[str] = ("nuclei",),
    *,
    split: str = "test",
    names: Sequence[str] = (),
    provenance: dict[str, str] | None = None,
) -> Board:
    """A board on which model i of n scores less than model i - 1, every second one multi-task."""
    tables = [
        make_table(task, name, split, n_models, names, place, provenance or {})
        for place, name in enumerate(datasets)
        for task in tasks
    ]
    return Board(tuple(tables), ())


def make_table(
    task: str,
    dataset: str,
    split: str,
    n_models: int,
    names: Sequence[str],
    place: int,
    provenance: dict[str, str],
) -> Table:
    """Models in order, and the pairs of one multi-task and one single-task model."""
    stored = [
        _result(task, dataset, split, i, n_models, names, place, provenance)
        for i in range(n_models)
    ]
    columns = columns_of(task, [result.record.report for result in stored])
    labels = [result.record.model.name for result in stored]
    entries = tuple(
        Entry(label, result, tuple(_cell(column, result, i, n_models) for column in columns))
        for i, (label, result) in enumerate(zip(labels, stored, strict=True))
    )
    pairs = tuple(
        _pair(column, number, one, two)
        for number, column in enumerate(columns)
        for i, one in enumerate(entries)
        for two in entries[i + 1 :: 2]
    )
    data = stored[0].record.data
    return Table(stored[0].data, data.synthetic, task, columns, entries, pairs, "")


def _result(
    task: str,
    dataset: str,
    split: str,
    index: int,
    n_models: int,
    names: Sequence[str],
    place: int,
    provenance: dict[str, str],
) -> StoredResult:
    kind = ("multi", "single")[index % 2]
    name = names[index] if index < len(names) else f"{kind}-model-{index:02d}"
    value = round(0.8 - 0.02 * place - 0.4 * index / n_models, 4)
    status = STATUSES[index % len(STATUSES)]
    record = make_result(
        *_scores(task, value),
        name=name,
        model={
            "file_sha256": f"{index:02x}" * 32,
            "kind": kind,
            "tasks": ["nuclei", "gland"] if kind == "multi" else [task],
            "parameters": None if index == 3 else 1_000_000 * (index + 1),
            "seed": index,
        },
        data={"name": dataset, "split": split, "synthetic": dataset == "phantom", "n_images": 48},
        report={"n_images": 48, "n_groups": 48},
        contamination=Contamination(status=status, shared=[], reason=""),
        provenance={key: f"{float(text) / (index + 1):g}" for key, text in provenance.items()},
    )
    return StoredResult(Path(f"{name}.json"), record)


def _scores(task: str, value: float) -> list[Score]:
    def score(metric: str, at: float, width: float, unit: str | None = None) -> Score:
        return make_score(
            task, metric, value=at, low=at - width, high=at + width, unit=unit, n_groups=48
        )

    if task != "gland":
        return [score("pq", value, HALF_WIDTH), score("dice", value + 0.1, HALF_WIDTH)]
    return [
        score("object_f1", value, HALF_WIDTH),
        score("object_dice", value + 0.05, HALF_WIDTH),
        score("object_hausdorff", 100 * (1 - value), 100 * HALF_WIDTH, "um"),
    ]


def _cell(column: Column, result: StoredResult, index: int, n_models: int) -> Cell | None:
    score = score_in(column, result.record.report)
    return score and Cell(score, Rank(max(1, index), min(n_models, index + 2)))


def _pair(column: Column, number: int, one: Entry, two: Entry) -> Pair:
    first, second = (cell.score.value for e in (one, two) if (cell := e.cells[number]))
    assert first is not None
    assert second is not None
    difference = first - second
    half = HALF_WIDTH * (100 if column.unit else 1)
    p = 0.0005 if abs(difference) > half else 0.31
    low, high = difference - half, difference + half
    return Pair(column, one.label, two.label, difference, low, high, p, 48)
