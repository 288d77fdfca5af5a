"""`experiment stl-vs-mtl`: single-task networks against one multi-task network, at equal budget.

Every network takes the same number of steps with the same recipe, seed by seed and fold by fold,
and is scored on the test fold that none of them has seen. A finished run is kept, so that an
experiment that was stopped goes on where it was.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.tasks import TASKS
from cerberus_bench.workflows.data import open_data
from cerberus_bench.workflows.evaluate import run_evaluation
from cerberus_bench.workflows.models import find_model
from cerberus_bench.workflows.progress import Progress
from cerberus_bench.workflows.train import train

if TYPE_CHECKING:
    from cerberus_bench.workflows.train import TrainProgress

PLAN, DONE, MULTI = "plan.json", "done.json", "multi"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and with which budget."""

    size: str
    """Size of the networks, of `registry.SIZES`."""
    tasks: tuple[str, ...]
    data: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    recipe: str
    recipe_sha256: str
    """Of its content with `steps` in it."""
    steps: int
    """Steps of every network, single or multi. A step of a single-task network draws as many
    windows (or patches) as one of the multi-task network, all of them for its own task."""

    def runs(self) -> list["Run"]:
        """All runs, a seed and a fold at a time: what is stopped early compares like with like."""
        kinds = [(MULTI, self.tasks), *((task, (task,)) for task in self.tasks)]
        return [
            Run(kind, tasks, seed, fold)
            for seed in self.seeds
            for fold in self.folds
            for kind, tasks in kinds
        ]


@dataclass(frozen=True, slots=True)
class Run:
    """One network of the experiment."""

    kind: str
    """`multi`, or the task of a single-task network."""
    tasks: tuple[str, ...]
    seed: int
    fold: int

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{self.kind}-seed{self.seed}-fold{self.fold}"

    def model_name(self, size: str) -> str:
        """Name on the board, the same for all seeds and folds."""
        return f"{MULTI}-{size}" if self.kind == MULTI else f"single-{self.kind}-{size}"


@dataclass(frozen=True, slots=True)
class ExperimentProgress:
    """Where an experiment is."""

    done: int
    """Runs that are finished."""
    total: int
    run: Run
    training: "TrainProgress | None"
    """None while the run is scored."""


OnProgress = Callable[[ExperimentProgress], None]


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
        tasks: tasks to compare; all that the data annotate and the networks know when empty.
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
    plan = _make_plan(data, tasks, size, recipe, steps, seeds, folds, progress)
    _claim(out, plan)
    runs, made, files = plan.runs(), 0, dict[str, list[str]]()
    for i, run in enumerate(runs):
        found = _finished(out / run.folder)
        if found is None:
            tell = _teller(on_progress, i, len(runs), run)
            found = _make(run, plan, out / run.folder, results, progress, tell)
            made += 1
        files[run.folder] = found
    return {"plan": asdict(plan), "results": files, "runs": len(runs), "runs_made": made}


def _make_plan(
    data: Sequence[str],
    tasks: Sequence[str],
    size: str,
    recipe: str,
    steps: int | None,
    seeds: int,
    folds: Sequence[int],
    progress: Progress | None,
) -> Plan:
    from cerberus_bench.model_zoo.recipe import load_recipe
    from cerberus_bench.model_zoo.registry import SIZES

    if size not in SIZES:
        raise DataError(f"there is no size {size!r}. Choose from: {', '.join(SIZES)}.")
    known = {output.task for output in SIZES[size].outputs}
    annotated = {
        task
        for name in data
        for task in open_data(name, split="train", fold=folds[0], progress=progress).label_spaces
    }
    possible = [task for task in TASKS if task in known & annotated]
    wrong = sorted(set(tasks) - set(possible))
    chosen = tuple(tasks or possible)
    if wrong or len(chosen) < 2:
        raise DataError(
            f"cannot compare {', '.join(wrong or chosen) or 'no task'}: name two tasks or more of"
            f" {', '.join(possible) or 'none'}, which {', '.join(data)} annotate."
        )
    found = load_recipe(recipe)
    if steps is not None:
        found = found.with_steps(steps)
    return Plan(
        size=size,
        tasks=chosen,
        data=tuple(data),
        seeds=tuple(range(seeds)),
        folds=tuple(folds),
        recipe=recipe,
        recipe_sha256=found.sha256,
        steps=found.schedule.steps,
    )


def _claim(out: Path, plan: Plan) -> None:
    """Write the plan into the folder, or check that it is the one that lies there.

    More seeds or folds than before go on with the same experiment.
    """
    path = out / PLAN
    if path.is_file():
        fixed = _without_repeats(json.loads(path.read_text(encoding="utf-8")))
        now = _without_repeats(json.loads(json.dumps(asdict(plan))))
        changed = sorted(key for key in now if fixed.get(key) != now[key])
        if changed:
            raise DataError(
                f"{path} is of another experiment: {', '.join(changed)} differ"
                f" ({', '.join(f'{fixed.get(key)!r} there' for key in changed)}). Give the same"
                " options, or another --out."
            )
    _write_json(path, asdict(plan))


def _without_repeats(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plan.items() if key not in ("seeds", "folds")}


def _finished(folder: Path) -> list[str] | None:
    """Result files of a finished run; None if it is not finished, or a file is gone."""
    path = folder / DONE
    if not path.is_file():
        return None
    files: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return files if all(Path(file).is_file() for file in files) else None


def _make(
    run: Run,
    plan: Plan,
    folder: Path,
    results: Path,
    progress: Progress | None,
    tell: "Callable[[TrainProgress | None], None]",
) -> list[str]:
    """Train a run, or go on with it, and score it on every dataset that annotates its tasks."""
    from cerberus_bench.model_zoo.training import CHECKPOINT

    done = train(
        out=folder,
        data=plan.data,
        tasks=run.tasks,
        arch=f"cerberus-{plan.size}",
        recipe=plan.recipe,
        name=run.model_name(plan.size),
        fold=run.fold,
        seed=run.seed,
        steps=plan.steps,
        resume=(folder / CHECKPOINT).is_file(),
        progress=progress,
        on_progress=tell,
    )
    tell(None)
    predictor = find_model(done["model"])
    files = []
    for name in plan.data:
        spaces = open_data(name, fold=run.fold, progress=progress).label_spaces
        if set(run.tasks) & set(spaces):
            one = run_evaluation(predictor, name, fold=run.fold, out=results, progress=progress)
            files.append(str(one.result_path))
    _write_json(folder / DONE, files)
    return files


def _teller(
    on_progress: OnProgress | None, done: int, total: int, run: Run
) -> "Callable[[TrainProgress | None], None]":
    def tell(training: "TrainProgress | None") -> None:
        if on_progress is not None:
            on_progress(ExperimentProgress(done, total, run, training))

    return tell


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
