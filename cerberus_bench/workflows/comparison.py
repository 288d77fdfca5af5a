"""What experiments share: many networks trained with one budget, scored, and kept.

Every network takes the same number of steps with the same recipe, seed by seed and fold by fold,
and is scored on the test fold that none of them has seen. A finished run is kept, so that an
experiment that was stopped goes on where it was.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole
from cerberus_bench.workflows.data import open_data
from cerberus_bench.workflows.evaluate import run_evaluation
from cerberus_bench.workflows.models import find_model
from cerberus_bench.workflows.progress import Progress
from cerberus_bench.workflows.train import train

if TYPE_CHECKING:
    from cerberus_bench.workflows.train import TrainProgress

PLAN, DONE = "plan.json", "done.json"


class PlanFields(TypedDict):
    """The fields of every plan."""

    size: str
    data: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    recipe: str
    recipe_sha256: str
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(ABC):
    """What is compared, and with which budget. A kind of experiment adds its own fields."""

    size: str
    """Size of the networks, of `registry.SIZES`."""
    data: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    recipe: str
    recipe_sha256: str
    """Of its content with `steps` in it."""
    steps: int
    """Steps of every network."""

    @abstractmethod
    def kinds(self, seed: int, fold: int) -> list["Run"]:
        """The networks that are compared with each other."""

    def runs(self) -> list["Run"]:
        """All runs, a seed and a fold at a time: what is stopped early compares like with like."""
        return [r for seed in self.seeds for fold in self.folds for r in self.kinds(seed, fold)]


@dataclass(frozen=True, slots=True)
class Run:
    """One network of an experiment."""

    kind: str
    """What sets it apart; part of its folder's name."""
    model_name: str
    """Name on the board, the same for all seeds and folds."""
    tasks: tuple[str, ...]
    seed: int
    fold: int
    encoder_weights: str | None = None
    freeze_encoder: bool | None = None

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{self.kind}-seed{self.seed}-fold{self.fold}"


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


def plan_fields(
    size: str,
    data: Sequence[str],
    seeds: int,
    folds: Sequence[int],
    recipe: str,
    steps: int | None,
) -> PlanFields:
    """The fields that every plan has.

    Raises:
        DataError: the size or the recipe is unknown.
    """
    from cerberus_bench.model_zoo.recipe import load_recipe
    from cerberus_bench.model_zoo.registry import SIZES

    if size not in SIZES:
        raise DataError(f"there is no size {size!r}. Choose from: {', '.join(SIZES)}.")
    found = load_recipe(recipe)
    if steps is not None:
        found = found.with_steps(steps)
    return PlanFields(
        size=size,
        data=tuple(data),
        seeds=tuple(range(seeds)),
        folds=tuple(folds),
        recipe=recipe,
        recipe_sha256=found.sha256,
        steps=found.schedule.steps,
    )


def annotated_tasks(data: Sequence[str], fold: int, progress: Progress | None) -> set[str]:
    """Tasks that the train splits of some datasets annotate."""
    return {
        task
        for name in data
        for task in open_data(name, split="train", fold=fold, progress=progress).label_spaces
    }


def compare(
    plan: Plan,
    out: Path,
    results: Path,
    progress: Progress | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train and score every network of a plan that is not there yet.

    Args:
        plan: what to compare.
        out: folder of the runs. An experiment that is in it already goes on.
        results: folder for the result records, which `leaderboard` reads.
        progress: told while the phantom is made and while a run is scored.
        on_progress: called after every training step and before a run is scored.

    Returns:
        The plan, the result files of every run, and how many runs were made by this call.

    Raises:
        DataError: another experiment lies in `out`.
    """
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
        name=run.model_name,
        fold=run.fold,
        seed=run.seed,
        steps=plan.steps,
        encoder_weights=None if run.encoder_weights is None else Path(run.encoder_weights),
        freeze_encoder=run.freeze_encoder,
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
    with whole(path) as draft:
        draft.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
