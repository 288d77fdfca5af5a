"""`experiment transfer`: one task learnt from several first weights, all else equal.

Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, on transfer
learning: nuclear classes and signet ring cells, from random weights, from ImageNet, and from a
network of several tasks.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.comparison import (
    OnProgress,
    Plan,
    Run,
    annotated_tasks,
    compare,
    plan_fields,
)
from cerberus_bench.workflows.progress import Progress

RECIPES = {"nuclei": "transfer-nuclear-classification", "signet_ring": "transfer-signet-ring"}
"""Task -> the recipe that is taken where none is named."""
RANDOM = "random"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Plan):
    """First weights that are compared on one task."""

    task: str
    initial: Mapping[str, str | None]
    """Name -> file of the first weights, in which {seed} and {fold} stand for a run's own; None =
    random."""
    frozen: bool
    """Whether the encoder stays as it is."""

    def kinds(self, seed: int, fold: int) -> list[Run]:
        """One network from each of the first weights."""
        how = "frozen" if self.frozen else "tuned"
        return [
            Run(
                name,
                f"{self.task}-from-{name}-{how}-{self.size}",
                (self.task,),
                seed,
                fold,
                None if pattern is None else _file(pattern, seed, fold),
                self.frozen,
            )
            for name, pattern in self.initial.items()
        ]


def transfer(
    *,
    task: str,
    initial: Sequence[str],
    out: Path,
    results: Path,
    data: Sequence[str] = ("phantom",),
    size: str = "tiny",
    recipe: str | None = None,
    freeze_encoder: bool | None = None,
    steps: int | None = None,
    seeds: int = 3,
    folds: Sequence[int] = (3,),
    progress: Progress | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train and score a network of one task from each of some first weights.

    Args:
        task: nuclei (its classes) or signet_ring.
        initial: `random`, or `NAME=FILE` of what `train --encoder-weights` takes; {seed} and {fold}
            in FILE stand for those of a run.
        out: folder of the runs. An experiment that is in it already goes on.
        results: folder for the result records, which `leaderboard` reads.
        data: dataset names or harmonised folders.
        size: size of the networks, which the weights must fit.
        recipe: shipped recipe or TOML file, the same for all; the task's own when None.
        freeze_encoder: train decoders and heads only; as the recipe says when None.
        steps: steps of every network; the recipe's when None.
        seeds: how many seeds, 0, 1, ...
        folds: test folds.
        progress: told while the phantom is made and while a run is scored.
        on_progress: called after every training step and before a run is scored.

    Returns:
        The plan, the result files of every run, and how many runs were made by this call.

    Raises:
        DataError: an unknown task or name, fewer than two first weights, weights that do not fit,
            data without the task, or another experiment in `out`.
    """
    from cerberus_bench.model_zoo.recipe import load_recipe

    if task not in RECIPES:
        raise DataError(f"transfer is to one of {', '.join(RECIPES)}, not to {task!r}.")
    chosen = recipe or RECIPES[task]
    of_recipe = load_recipe(chosen).initial
    plan = Transfer(
        **plan_fields(size, data, seeds, folds, chosen, steps),
        task=task,
        initial=_parse(initial),
        frozen=bool(of_recipe and of_recipe.freeze_encoder)
        if freeze_encoder is None
        else freeze_encoder,
    )
    if task not in annotated_tasks(data, folds[0], progress):
        raise DataError(f"{', '.join(data)} do not annotate {task}. Add a dataset that does.")
    _check_weights(plan)
    return compare(plan, out, results, progress, on_progress)


def _parse(initial: Sequence[str]) -> dict[str, str | None]:
    """First weights by name."""
    found: dict[str, str | None] = {}
    for text in initial:
        name, _, file = text.partition("=")
        if not _NAME.fullmatch(name) or bool(file) == (name == RANDOM):
            raise DataError(
                f"{text!r}: give {RANDOM}, or NAME=FILE with a name of small letters, digits, dots"
                " and dashes, such as imagenet=resnet34.pth."
            )
        if name in found:
            raise DataError(f"two first weights are called {name}; give each a name of its own.")
        found[name] = file or None
    if len(found) < 2:
        raise DataError(
            f"there is nothing to compare: name two first weights or more, such as {RANDOM} and"
            " multi=cerberus-tiny."
        )
    return found


def _file(pattern: str, seed: int, fold: int) -> str:
    return pattern.replace("{seed}", str(seed)).replace("{fold}", str(fold))


def _check_weights(plan: Transfer) -> None:
    """Load all weights once, so that none is found not to fit when others have been trained."""
    from cerberus_bench.model_zoo.initial_encoder import load_initial
    from cerberus_bench.model_zoo.registry import create

    network = create(f"cerberus-{plan.size}", [plan.task])
    files = {run.encoder_weights for run in plan.runs()} - {None}
    for file in sorted(map(str, files)):
        load_initial(network, Path(file))
