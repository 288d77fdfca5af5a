"""Single-task networks against multi-task ones: means over the same seeds, and their difference."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from cerberus_bench.leaderboard.columns import Column, columns_of, score_in
from cerberus_bench.leaderboard.notes import (
    budget_lines,
    column_names,
    interval_words,
    printable,
    split_text,
)
from cerberus_bench.leaderboard.paired import Pair, Pairing
from cerberus_bench.leaderboard.render import escaped, pipes
from cerberus_bench.leaderboard.seeds import family
from cerberus_bench.leaderboard.store import DataKey, StoredResult, read_results
from cerberus_bench.pictures.wording import task_name, value_text
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.report import Score
from cerberus_bench.schema.tasks import TASKS

if TYPE_CHECKING:
    from rich.table import Table as RichTable

HEAD = ("Data", "Task", "Score", "Single-task", "Multi-task", "Multi minus single (95 %)", "p")
SAID = (
    "Means over seeds, with the lowest and the highest; better of two in bold where the interval of"
    " the difference, over groups and for these seeds, leaves out zero."
)


@dataclass(frozen=True, slots=True)
class Family:
    """One model trained from several seeds, on one split of one dataset."""

    name: str
    runs: tuple[StoredResult, ...]
    """One a seed, in the order of seeds."""

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """Its seeds."""
        return tuple(run.record.model.seed for run in self.runs)

    @property
    def schedule(self) -> tuple[str, int] | None:
        """Recipe and steps of its training; None where its results do not state them."""
        budget = self.runs[0].record.model.budget
        return (budget.recipe, budget.steps) if budget else None

    def scores(self, column: Column) -> list[Score]:
        """Its scores in a column, those that are defined."""
        found = (score_in(column, run.record.report) for run in self.runs)
        return [score for score in found if score is not None and score.value is not None]


@dataclass(frozen=True, slots=True)
class Duel:
    """A single-task network and a multi-task one in one column."""

    data: DataKey
    single: Family
    multi: Family
    pair: Pair
    """Multi minus single, of the means over seeds."""


def single_against_multi(results_dir: Path) -> list[Duel]:
    """Every single-task and multi-task network below a folder that share data, task and seeds.

    Both took as many steps of the same recipe, as far as their results say.

    Raises:
        DataError: as `leaderboard`; or two results are of one model and seed, as those of two
            experiments are.
    """
    results = read_results(results_dir)
    return [
        duel
        for data in sorted({result.data for result in results})
        for duel in _duels(data, [result for result in results if result.data == data])
    ]


def kinds_markdown(duels: Sequence[Duel]) -> str:
    """One table in GitHub Markdown, and how to read it."""
    rows = [
        [escaped(cell) if i not in (3, 4) else cell for i, cell in enumerate(row)]
        for row in map(_row, duels)
    ]
    notes = [SAID, *map(escaped, _budgets(duels))]
    return "\n\n".join([pipes(HEAD, rows), *notes]) + "\n"


def kinds_json(duels: Sequence[Duel]) -> list[dict[str, Any]]:
    """Plain rows for scripts."""
    return [
        {
            **duel.data._asdict(),
            "single": duel.single.name,
            "multi": duel.multi.name,
            "seeds": duel.single.seeds,
            "single_values": [score.value for score in duel.single.scores(duel.pair.column)],
            "multi_values": [score.value for score in duel.multi.scores(duel.pair.column)],
            **asdict(duel.pair),
        }
        for duel in duels
    ]


def kinds_terminal(duels: Sequence[Duel]) -> "RichTable":
    """A table for a `rich` console."""
    from rich.table import Table as RichTable
    from rich.text import Text

    caption = "\n".join([SAID, *_budgets(duels)])
    shown = RichTable(*HEAD, caption=Text(caption), caption_justify="left")
    for row in map(_row, duels):
        shown.add_row(*(cell.replace("**", "") for cell in row))
    return shown


def _duels(data: DataKey, results: Sequence[StoredResult]) -> list[Duel]:
    families = _families(results)
    singles = [one for one in families if one.runs[0].record.model.kind == "single"]
    multis = [one for one in families if one.runs[0].record.model.kind == "multi"]
    pairing = Pairing(results)
    return [
        Duel(data, single, multi, pair)
        for task in TASKS
        for single in singles
        for multi in multis
        if task in single.runs[0].record.model.tasks
        and (single.seeds, single.schedule) == (multi.seeds, multi.schedule)
        for column in columns_of(task, [run.record.report for run in single.runs + multi.runs])
        if (pair := pairing.pair_means(column, multi.name, multi.runs, single.name, single.runs))
    ]


def _families(results: Sequence[StoredResult]) -> list[Family]:
    groups: dict[tuple[object, ...], dict[int, StoredResult]] = {}
    for result in results:
        model = result.record.model
        if model.seed is None:
            continue
        runs = groups.setdefault(family(model), {})
        if model.seed in runs:
            raise DataError(
                f"{runs[model.seed].path} and {result.path} are both {printable(model.name)} of"
                f" seed {model.seed}. Keep each experiment in a folder of its own."
            )
        runs[model.seed] = result
    return [
        Family(next(iter(runs.values())).record.model.name, tuple(runs[s] for s in sorted(runs)))
        for runs in groups.values()
    ]


def _budgets(duels: Sequence[Duel]) -> list[str]:
    sides = [side for duel in duels for side in (duel.single, duel.multi)]
    return budget_lines(run.record.model for side in sides for run in side.runs)


def _row(duel: Duel) -> list[str]:
    column, pair = duel.pair.column, duel.pair
    better = pair.outcome(duel.multi.name)
    return [
        split_text(duel.data),
        task_name(column.task),
        column_names(column)[0],
        _spread(duel.single, column, better < 0),
        _spread(duel.multi, column, better > 0),
        interval_words(pair),
        "" if pair.p is None else "< .001" if pair.p < 0.001 else f"{pair.p:.3f}",
    ]


def _spread(one: Family, column: Column, is_better: bool) -> str:
    scores = sorted(one.scores(column), key=lambda score: score.value or 0.0)
    mean = fmean(score.value for score in scores if score.value is not None)
    shown = value_text(scores[0].model_copy(update={"value": mean}))
    bold = "**" if is_better else ""
    text = f"{bold}{shown}{bold} ({value_text(scores[0])} to {value_text(scores[-1])})"
    return printable(text)
