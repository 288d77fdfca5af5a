"""`experiment stl-vs-mtl`: single-task networks against one multi-task network, at equal budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.tasks import TASKS
from cerberus_bench.workflows.comparison import (
    OnProgress,
    Plan,
    Run,
    annotated_tasks,
    compare,
    plan_fields,
)
from cerberus_bench.workflows.progress import Progress

MULTI = "multi"


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleAgainstMulti(Plan):
    """One multi-task network and a network a task.

    A step of a single-task network draws as many windows (or patches) as one of the multi-task
    network, all of them for its own task.
    """

    tasks: tuple[str, ...]

    def kinds(self, seed: int, fold: int) -> list[Run]:
        """The multi-task network, and one network a task."""
        multi = Run(MULTI, f"{MULTI}-{self.size}", self.tasks, seed, fold)
        singles = [
            Run(task, f"single-{task}-{self.size}", (task,), seed, fold) for task in self.tasks
        ]
        return [multi, *singles]


def single_against_multi(
    *,
    out: Path,
    results: Path,
    data: Sequence[str] = ("phantom",),
    tasks: Sequence[str] = (),
    size: str = "tiny",
    recipe: str = "default",
    steps: int | None = None,
    seeds: int = 3,
    folds: Sequence[int] = (3,),
    progress: Progress | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train and score one multi-task network and its single-task controls.

    Args:
        out: folder of the runs. An experiment that is in it already goes on.
        results: folder for the result records, which `leaderboard` reads.
        data: dataset names or harmonised folders.
        tasks: tasks to compare; all that the data annotate and the published network has when
            empty.
        size: size of the networks.
        recipe: shipped recipe or TOML file, the same for all.
        steps: steps of every network; the recipe's when None.
        seeds: how many seeds, 0, 1, ...
        folds: test folds.
        progress: told while the phantom is made and while a run is scored.
        on_progress: called after every training step and before a run is scored.

    Returns:
        The plan, the result files of every run, and how many runs were made by this call.

    Raises:
        DataError: fewer than two tasks, an unknown name, or another experiment lies in `out`.
    """
    fields = plan_fields(size, data, seeds, folds, recipe, steps)
    chosen = _tasks(data, tasks, size, folds[0], progress)
    plan = SingleAgainstMulti(**fields, tasks=chosen)
    return compare(plan, out, results, progress, on_progress)


def _tasks(
    data: Sequence[str], tasks: Sequence[str], size: str, fold: int, progress: Progress | None
) -> tuple[str, ...]:
    from cerberus_bench.model_zoo.registry import ADDED, SIZES

    annotated = annotated_tasks(data, fold, progress)
    published = {output.task for output in SIZES[size].outputs}
    possible = [
        task for task in TASKS if task in annotated & {*published, *(o.task for o in ADDED)}
    ]
    wrong = sorted(set(tasks) - set(possible))
    chosen = tuple(tasks or (task for task in possible if task in published))
    if wrong or len(chosen) < 2:
        raise DataError(
            f"cannot compare {', '.join(wrong or chosen) or 'no task'}: name two tasks or more of"
            f" {', '.join(possible) or 'none'}, which {', '.join(data)} annotate."
        )
    return chosen
