"""What a training run is: its configuration, what it tells, and what it checks before a step."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cerberus_bench.model_zoo.processes import Processes
from cerberus_bench.model_zoo.recipe import Recipe
from cerberus_bench.model_zoo.registry import architecture, restrict
from cerberus_bench.model_zoo.samples import DEFAULT_CACHE_BYTES, SampleStore
from cerberus_bench.model_zoo.validation import Validation
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import ModelCard, OutputSpec
from cerberus_bench.schema.result import TrainedOn


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What to train, and how."""

    architecture: str
    """Name in the zoo."""
    tasks: tuple[str, ...]
    recipe: Recipe
    seed: int = 0
    fold: int = 3
    """Test fold, which the given sources leave out; goes into the card."""
    name: str | None = None
    """Name of the weights; the architecture's when None."""
    max_minutes: float | None = None
    """End within this time, with the schedule stretched over it, if the steps take longer."""
    device: str = "auto"
    """A torch device; auto = the GPU if there is one."""
    parts: int = 1
    """Parts that a batch is worked off in, to save memory or to share it among processes. Batch
    statistics are those of a part, so another number is another run."""
    threads: int | None = None
    """Threads of torch; None = as they are."""
    cache_bytes: int = DEFAULT_CACHE_BYTES
    """Memory for decoded records, each of training and validation."""
    encoder_weights: Path | None = None
    """Start with this encoder; see `load_initial`."""
    random_encoder: bool = False
    """Leave the weights of a transformers backbone as they are drawn."""
    freeze_encoder: bool = False
    """Train decoders and heads only."""
    tensorboard: bool | None = None
    """Write TensorBoard events as well; None = if TensorBoard is installed."""
    keep_outputs: tuple[str, ...] = ()
    """Outputs to take over from `encoder_weights`, where they are there; see `Initial.outputs`."""
    licence: str | None = None
    provenance: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """Where a run is, after a step."""

    step: int
    steps: int
    """Most steps that the run takes."""
    fraction: float
    """Share of the run that is done, in [0, 1], by steps or by time."""
    seconds: float
    loss: float
    losses: Mapping[str, float]
    """Output -> loss of the step's batch."""
    learning_rate: float
    validation: Validation | None
    """Set after the steps that were followed by a validation."""
    best_score: float
    """Best validation score so far, -1 before the first."""
    waited: float
    """Seconds that the step waited for its batch."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run made."""

    model: Path
    """Weights of the best validation, with their card."""
    card: ModelCard
    best_score: float
    best_step: int
    steps: int
    seconds: float
    unvalidated: tuple[str, ...]
    """Outputs that were trained and for which the validation split has no truth."""
    wait_share: float
    """Share of the time of this call's steps that was spent waiting for data, in [0, 1]."""
    frozen: tuple[str, ...]
    """Outputs that came with the first weights and stayed as they were."""
    rank: int
    """Process that this comes from; only the first, 0, has written anything."""


def wanted_outputs(config: TrainConfig) -> tuple[OutputSpec, ...]:
    """Outputs of the tasks that the recipe gives a weight."""
    weights = config.recipe.losses.outputs
    spec = restrict(architecture(config.architecture), config.tasks)
    return tuple(output for output in spec.outputs if weights.get(output.name, 0) > 0)


def taught_outputs(
    wanted: Sequence[OutputSpec], store: SampleStore, config: TrainConfig
) -> tuple[str, ...]:
    """Outputs with truth; a task without any is an error, a task without classes is none."""
    taught = tuple(output.name for output in wanted if has_truth(output.name, store))
    missing = set(config.tasks) - {
        part for name in taught for part in (name, name.partition(".")[0])
    }
    if missing:
        names = ", ".join(source.name for source in store.sources) or "nothing"
        raise DataError(
            f"no training record of {names} teaches {', '.join(sorted(missing))}. Leave it out of"
            " the tasks, add a dataset that annotates it, or give its outputs a weight in the"
            f" recipe {config.recipe.name}."
        )
    return taught


def has_truth(output: str, store: SampleStore) -> bool:
    """Whether any sample teaches an output."""
    return any(output in entry.outputs for entry in store.entries)


def check_validation(outputs: Sequence[str], store: SampleStore) -> None:
    """Refuse a validation split that could not choose weights."""
    if not any(has_truth(output, store) for output in outputs):
        raise DataError(
            "the validation split has no record with truth for what is trained, so nothing could"
            " choose the weights. Add a dataset, or take another fold."
        )


def seen_records(store: SampleStore, split: str, fold: int) -> list[TrainedOn]:
    """What the card says of a split, for every source that something was taken from."""
    return [
        TrainedOn(
            dataset=source.name,
            version=source.version,
            fingerprint=source.fingerprint,
            split=split,
            fold=fold,
            groups=sorted(groups),
            origins=sorted(origins),
        )
        for source, groups, origins in zip(store.sources, store.groups, store.origins, strict=True)
        if groups
    ]


def parts_of(config: TrainConfig, processes: Processes) -> int:
    """Parts of every batch: one for each process, unless more are asked for.

    Raises:
        DataError: the processes, or the windows and patches of a batch, do not share out evenly.
    """
    n = max(config.parts, processes.count)
    batches = config.recipe.batches
    if n % processes.count:
        raise DataError(
            f"{n} parts do not share out among {processes.count} processes; give --parts a multiple"
        )
    if batches.size < n or batches.patches < 2 * n:
        raise DataError(
            f"a batch of {batches.size} windows and {batches.patches} patches cannot be worked off"
            f" in {n} parts of at least one window and two patches; make it larger in the recipe"
            f" {config.recipe.name}, or take fewer parts"
        )
    return n


def run_identity(
    config: TrainConfig,
    outputs: Sequence[str],
    trained_on: Sequence[TrainedOn],
    initial: Mapping[str, str | bool],
    processes: Processes,
) -> str:
    """Hash of all that a checkpoint must share with the run that resumes it."""
    facts = [
        config.architecture,
        config.recipe.sha256,
        config.seed,
        list(outputs),
        [[seen.dataset, seen.fingerprint, seen.split, seen.fold] for seen in trained_on],
        dict(initial),
        parts_of(config, processes),
    ]
    backbone = architecture(config.architecture).backbone
    if backbone is not None:
        facts.append(asdict(backbone))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
