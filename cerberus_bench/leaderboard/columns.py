"""Columns of the leaderboard: what makes two numbers the same score."""

from collections.abc import Iterable
from dataclasses import dataclass

from cerberus_bench.eval.protocol import PROTOCOL, Scope
from cerberus_bench.schema.report import Averaging, Score, ScoreReport
from cerberus_bench.schema.tasks import TISSUE


@dataclass(frozen=True, slots=True)
class Column:
    """One headline score of a task."""

    task: str
    metric: str
    class_name: str | None
    convention: str
    averaging: Averaging
    unit: str | None
    classes: tuple[str, ...] | None
    """The classes that the score is made over; None for a score that knows no classes. Models
    that were compared with the data over other classes stand in another column."""

    @property
    def lower_is_better(self) -> bool:
        """Whether small values are good: distances and errors."""
        return self.unit is not None or self.metric in LOWER_IS_BETTER


LOWER_IS_BETTER = frozenset({"calibration_error"})
"""Errors without a unit; distances are known by theirs."""


def columns_of(task: str, reports: Iterable[ScoreReport]) -> tuple[Column, ...]:
    """The headline columns of a task, in the order in which the reports list them."""
    return tuple(
        dict.fromkeys(
            _column(score, report)
            for report in reports
            for score in report.scores
            if score.task == task and score.headline
        )
    )


def score_in(column: Column, report: ScoreReport) -> Score | None:
    """The score of a report that belongs in a column, if it has one."""
    for score in report.scores:
        if score.headline and score.task == column.task and _column(score, report) == column:
            return score
    return None


def _column(score: Score, report: ScoreReport) -> Column:
    partition = report.partitions.get(score.task)
    over_classes = (
        score.task == TISSUE.name
        or score.class_name is not None
        or any(
            definition.metric == score.metric and definition.scope is Scope.CLASS_MEAN
            for definition in PROTOCOL.get(score.task, ())
        )
    )
    classes = tuple(partition.classes) if partition is not None and over_classes else None
    return Column(
        score.task,
        score.metric,
        score.class_name,
        score.convention,
        score.averaging,
        score.unit,
        classes,
    )
