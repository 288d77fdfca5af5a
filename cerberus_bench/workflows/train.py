"""`train`: one network on the train split of one or more datasets."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.provenance import provenance
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.tasks import TASKS
from cerberus_bench.workflows.data import open_data
from cerberus_bench.workflows.progress import Progress

if TYPE_CHECKING:
    from cerberus_bench.loaders.table import Table
    from cerberus_bench.model_zoo.recipe import Recipe
    from cerberus_bench.model_zoo.run_facts import TrainProgress

__all__ = ["TrainProgress", "train"]


def train(
    *,
    out: Path,
    data: Sequence[str] = (),
    tasks: Sequence[str] = (),
    arch: str | None = None,
    recipe: str = "default",
    name: str | None = None,
    fold: int = 3,
    seed: int | None = None,
    steps: int | None = None,
    max_minutes: float | None = None,
    parts: int = 1,
    encoder_weights: Path | None = None,
    random_encoder: bool = False,
    freeze_encoder: bool | None = None,
    resume: bool = False,
    tensorboard: bool | None = None,
    progress: Progress | None = None,
    on_progress: "Callable[[TrainProgress], None] | None" = None,
    on_warning: Callable[[str], None] = warnings.warn,
) -> dict[str, Any]:
    """Train on the train splits, choose weights on the validation splits, never open a test split.

    Args:
        out: folder for `model.pt`, the checkpoint, the logs and a picture of every validation.
        data: dataset names or harmonised folders; the recipe's, else the phantom, when empty.
        tasks: tasks to learn; the recipe's, else all of the architecture, when empty.
        arch: name of the zoo, or `cerberus-transformers:SOURCE`, which is fetched from the Hub if
            it is no folder; the recipe's, else cerberus-tiny, when None.
        recipe: name of a shipped recipe, or a TOML file.
        name: name of the weights on the board; the folder's when None.
        fold: the fold that is held out as test.
        seed: overrides the recipe's.
        steps: overrides the recipe's, with its schedule stretched over them.
        max_minutes: ends the run, its schedule included, within this time.
        parts: parts that a batch is worked off in; see `TrainConfig`.
        encoder_weights: zoo name, model file, or weights of a ResNet with torchvision's names,
            whose encoder is the start, with the outputs that the recipe takes over. What a model
            file has seen counts as seen by the new model.
        random_encoder: do not load the weights that a transformers backbone comes with.
        freeze_encoder: train decoders and heads only; as the recipe says when None.
        resume: go on from the checkpoint in `out`.
        tensorboard: write TensorBoard events as well; if it is installed, when None.
        progress: told while the phantom is made.
        on_progress: called after every step.
        on_warning: told, before the first step, of sources that fix their own splits and train on
            what other datasets test on.

    Returns:
        Where the model is, its best validation score, steps and seconds; `shares_test_fold`:
        dataset -> how many records of the warning.

    Raises:
        DataError: a name is unknown, a split is empty, the data does not teach a task, or a folder
            has other folds than this version and holds records that `fold` tests on, or TensorBoard
            is asked for and not installed.
    """
    from cerberus_bench.loaders.splits import refuse_test_fold
    from cerberus_bench.model_zoo.recipe import Initial, load_recipe
    from cerberus_bench.model_zoo.registry import transformers_source
    from cerberus_bench.model_zoo.run_facts import TrainConfig
    from cerberus_bench.model_zoo.training import train as run
    from cerberus_bench.workflows.training_pictures import validation_sheet

    found = load_recipe(recipe)
    if steps is not None:
        found = found.with_steps(steps)
    initial = found.initial or Initial(freeze_encoder=False)
    names = list(data or found.data or ("phantom",))
    architecture = arch or found.architecture or "cerberus-tiny"
    fetch_backbone(architecture)
    comes_trained = transformers_source(architecture) is not None and not random_encoder
    from_somewhere = encoder_weights is not None or comes_trained
    if initial.freeze_encoder and freeze_encoder is None and not from_somewhere:
        raise DataError(
            f"the recipe {found.name} trains on a frozen encoder: say where it comes from"
            " (--encoder-weights), train it too (--tune-encoder), or freeze a random one"
            " (--freeze-encoder)."
        )
    config = TrainConfig(
        architecture=architecture,
        tasks=_tasks(tasks, found, arch),
        recipe=found,
        seed=found.seed if seed is None else seed,
        fold=fold,
        name=name or out.name,
        max_minutes=max_minutes,
        parts=parts,
        encoder_weights=encoder_weights,
        random_encoder=random_encoder,
        freeze_encoder=initial.freeze_encoder if freeze_encoder is None else freeze_encoder,
        keep_outputs=initial.outputs,
        tensorboard=tensorboard,
        provenance=dict(provenance(recipe=found.name)),
    )
    sources = [open_data(n, split="train", fold=fold, progress=progress) for n in names]
    validation = _validation(names, fold, progress)
    folded = [part for part in (*sources, *validation) if not part.metadata.fixed_roles]
    refuse_test_fold([key for part in folded for key in part.keys], fold)
    shared = _warn_of_shared([*sources, *validation], fold, on_warning)
    done = run(
        config,
        sources,
        validation,
        out,
        resume=resume,
        on_progress=on_progress,
        draw=validation_sheet,
    )
    return {
        "model": str(done.model),
        "tasks": list(done.card.tasks),
        "best_score": done.best_score,
        "best_step": done.best_step,
        "steps": done.steps,
        "seconds": done.seconds,
        "validation": dict(done.card.validation),
        "unvalidated": list(done.unvalidated),
        "shares_test_fold": shared,
        "frozen": list(done.frozen),
        "wait_share": done.wait_share,
        "rank": done.rank,
    }


def _warn_of_shared(
    parts: "Sequence[Table]", fold: int, on_warning: Callable[[str], None]
) -> dict[str, int]:
    """Dataset -> records that other datasets test on, of sources that fix their own splits."""
    from cerberus_bench.loaders.splits import held_out

    counts: Counter[str] = Counter()
    for part in parts:
        if part.metadata.fixed_roles:
            counts[part.name] += len(held_out(part.keys, fold))
    found = {name: n for name, n in counts.items() if n}
    for name, n in found.items():
        on_warning(
            f"{n} records of {name} that are trained on share images or patients with what fold"
            f" {fold} of other datasets tests on, because {name} fixes its own splits. Results on"
            " those are marked as contaminated."
        )
    return found


def fetch_backbone(architecture: str) -> None:
    """Have a backbone of the Hub on this disk; configuration and safetensors, nothing else.

    Args:
        architecture: any; nothing is done but for `cerberus-transformers:[hf:]ORG/NAME[@REVISION]`.

    Raises:
        DataError: neither a folder nor a repository of the Hub has this name.
        HubError: the Hub cannot be reached, and the backbone was not fetched before.
    """
    from cerberus_bench.model_zoo.registry import transformers_source

    source = transformers_source(architecture)
    if source is None or Path(source).is_dir():
        return
    from cerberus_bench.hub.places import looks_like_place, parse_place
    from cerberus_bench.hub.pull import snapshot
    from cerberus_bench.model_zoo.transformers_encoder import FILES

    if not looks_like_place(source):
        raise DataError(
            f"{source}: there is no such folder; give one with a config.json, or"
            " ORG/NAME[@REVISION] of the Hub."
        )
    snapshot(parse_place(source), "model", FILES)


def _tasks(tasks: Sequence[str], recipe: "Recipe", arch: str | None) -> tuple[str, ...]:
    from cerberus_bench.model_zoo.registry import ADDED, architecture

    unknown = sorted(set(tasks) - set(TASKS))
    if unknown:
        raise DataError(f"{unknown} are no tasks; the tasks are {', '.join(TASKS)}.")
    if tasks:
        return tuple(tasks)
    own = architecture(arch or recipe.architecture or "cerberus-tiny").tasks
    possible = {*own, *(output.task for output in ADDED)}
    return tuple(task for task in recipe.tasks or own if task in possible)


def _validation(names: Sequence[str], fold: int, progress: Progress | None) -> list["Table"]:
    """Validation splits; a dataset too small to have one is trained on without.

    Raises:
        DataError: no dataset has a validation split.
    """
    found, reasons = [], []
    for name in names:
        try:
            found.append(open_data(name, split="validation", fold=fold, progress=progress))
        except DataError as error:
            reasons.append(str(error))
    if not found:
        raise DataError(f"nothing to validate on: {reasons[0]}")
    return found
