"""Training: one loop for single-task and multi-task models, on any mixture of datasets.

Given the seed and the number of threads a run is deterministic, and a resumed run goes on exactly
where its last checkpoint was. It sees the train and validation records that it is given, and
nothing else.
"""

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cerberus_bench.model_zoo.batches import (
    Batch,
    BatchMaker,
    TrainingPlan,
    ValidationPlan,
    prefetched,
    random_stream,
)
from cerberus_bench.model_zoo.cerberus import Cerberus
from cerberus_bench.model_zoo.checkpoint import load_model, make_card, save_model
from cerberus_bench.model_zoo.initial_encoder import freeze_encoder, load_encoder
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.precision import choose_device, choose_precision
from cerberus_bench.model_zoo.recipe import Recipe
from cerberus_bench.model_zoo.registry import architecture, create, restrict
from cerberus_bench.model_zoo.samples import DEFAULT_CACHE_BYTES, SampleStore, codes_of
from cerberus_bench.model_zoo.training_state import (
    CsvLog,
    TrainingState,
    learning_rate,
    make_optimiser,
)
from cerberus_bench.model_zoo.validation import Validation, validate
from cerberus_bench.schema.errors import CerberusBenchError, DataError
from cerberus_bench.schema.model import ModelCard, OutputSpec
from cerberus_bench.schema.record import RecordSource
from cerberus_bench.schema.result import TrainedOn

CHECKPOINT, MODEL = "checkpoint.pt", "model.pt"


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
    threads: int | None = None
    """Threads of torch; None = as they are."""
    cache_bytes: int = DEFAULT_CACHE_BYTES
    """Memory for decoded records, each of training and validation."""
    encoder_weights: Path | None = None
    """Start with this encoder; see `load_encoder`."""
    freeze_encoder: bool = False
    """Train decoders and heads only."""
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


def train(
    config: TrainConfig,
    train_sources: Sequence[RecordSource],
    validation_sources: Sequence[RecordSource],
    out: Path,
    *,
    resume: bool = False,
    on_progress: Callable[[TrainProgress], None] | None = None,
) -> TrainResult:
    """Train a model and write `model.pt` (best by validation), `checkpoint.pt` and CSV logs.

    Only the outputs that some training record has truth for are made.

    Args:
        config: what to train.
        train_sources: records to learn from.
        validation_sources: records that choose the weights. Never a test split.
        out: folder, made if needed.
        resume: go on from the checkpoint in `out`.
        on_progress: called after every step.

    Raises:
        DataError: a task has no truth, there is nothing to validate on, `out` already holds a run,
            or its checkpoint is of another run.
        CerberusBenchError: the loss stopped being finite.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    if not resume and (out / CHECKPOINT).exists():
        raise DataError(f"{out} already holds a run. Add --resume, or train into another folder.")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with torch.random.fork_rng():
        run = _Run(config, train_sources, validation_sources, out, started)
        if resume:
            run.state.load(out / CHECKPOINT, run.identity)
        return run.go(on_progress)


class _Run:
    """One run: the parts that a step needs."""

    def __init__(
        self,
        config: TrainConfig,
        train_sources: Sequence[RecordSource],
        validation_sources: Sequence[RecordSource],
        out: Path,
        started: float,
    ) -> None:
        self.config, self.recipe, self.out = config, config.recipe, out
        self._started = started
        self._earlier = 0.0
        self._waited = self._stepped = 0.0
        wanted = _wanted_outputs(config)
        self.codes = codes_of(wanted, [*train_sources, *validation_sources])
        train_store = SampleStore(train_sources, wanted, self.codes, config.cache_bytes)
        validation_store = SampleStore(validation_sources, wanted, self.codes, config.cache_bytes)
        self.outputs = _taught_outputs(wanted, train_store, config)
        self._plan = TrainingPlan(train_store.entries, self.recipe, config.seed)
        self._maker = BatchMaker(train_store, self.recipe)
        self._validation_plan = ValidationPlan(validation_store.entries, self.recipe)
        self._validation_maker = BatchMaker(validation_store, self.recipe)
        _check_validation(self.outputs, validation_store)
        self.unvalidated = tuple(
            name for name in self.outputs if not _has_truth(name, validation_store)
        )
        self._trained_on = [
            *_trained_on(train_store, "train", config.fold),
            *_trained_on(validation_store, "validation", config.fold),
        ]
        self.device = choose_device(config.device)
        self.precision = choose_precision(self.recipe.precision, self.device)
        self.objective = Objective(self.codes, self.recipe.losses, self.device, self.precision)
        self._initial: dict[str, str | bool] = {}
        self.state = self._new_state()
        self.identity = _identity(config, self.outputs, self._trained_on, self._initial)

    def go(self, on_progress: Callable[[TrainProgress], None] | None) -> TrainResult:
        """Step until the run is over."""
        state = self.state
        self._earlier = state.seconds
        log, validation_log = self._logs()
        batches = prefetched(self._batch, state.step)
        fraction = self._fraction()
        try:
            while fraction < 1:
                rate = learning_rate(self.recipe.optimiser, self.recipe.schedule, fraction)
                begin = time.monotonic()
                batch = next(batches)
                waited = time.monotonic() - begin
                losses, total = self._step(batch, rate)
                self._waited += waited
                self._stepped += time.monotonic() - begin
                state.seconds = self._clock()
                fraction = min(self._fraction(), 1.0)
                row = {"step": state.step, "seconds": state.seconds, "learning_rate": rate}
                log.add({**row, "waited": waited, "loss": total, **losses})
                validation = self._validate_if_due(fraction, validation_log)
                if on_progress is not None:
                    on_progress(self._progress(fraction, rate, total, losses, validation, waited))
        finally:
            batches.close()
        return self._result()

    def _logs(self) -> tuple[CsvLog, CsvLog]:
        columns = ["step", "seconds", "learning_rate", "waited", "loss", *self.outputs]
        log = CsvLog(self.out / "log.csv", columns, self.state.step)
        columns = ["step", "seconds", "score", *self.outputs]
        columns += [f"loss {name}" for name in self.outputs]
        return log, CsvLog(self.out / "validation.csv", columns, self.state.step)

    def _progress(
        self,
        fraction: float,
        rate: float,
        loss: float,
        losses: Mapping[str, float],
        validation: Validation | None,
        waited: float,
    ) -> TrainProgress:
        state, steps = self.state, self.recipe.schedule.steps
        return TrainProgress(
            state.step,
            steps,
            fraction,
            state.seconds,
            loss,
            losses,
            rate,
            validation,
            state.best_score,
            waited,
        )

    def _batch(self, step: int) -> Batch:
        return self._maker.make(self._plan.windows(step), self._plan.patches(step))

    def _clock(self) -> float:
        """Seconds of this run and of those that it resumes."""
        return self._earlier + time.monotonic() - self._started

    def _fraction(self) -> float:
        done = self.state.step / self.recipe.schedule.steps
        if self.config.max_minutes is None:
            return done
        return max(done, self.state.seconds / (60 * self.config.max_minutes))

    def _step(self, batch: Batch, rate: float) -> tuple[dict[str, float], float]:
        state = self.state
        seed = _step_seed(self.config.seed, state.step)
        torch.manual_seed(seed)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        state.model.train()
        if self.config.freeze_encoder:
            freeze_encoder(state.model)
        state.optimiser.zero_grad(set_to_none=True)
        logits = self.objective.logits(state.model, batch, self.recipe.augmentation, seed)
        losses = {n: s.loss() for n, s in self.objective.sums(logits, batch).items()}
        total = self.objective.total(losses)
        total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(
            state.model.parameters(), self.recipe.optimiser.clip_norm
        )
        self._check_finite(losses, norm)
        state.optimiser.step()
        state.step += 1
        state.update_average(self.recipe.optimiser.ema_decay)
        return {name: loss.item() for name, loss in losses.items()}, total.item()

    def _check_finite(self, losses: Mapping[str, Tensor], norm: Tensor) -> None:
        if math.isfinite(norm.item()) and all(math.isfinite(v.item()) for v in losses.values()):
            return
        shown = ", ".join(f"{name} {loss.item():.3g}" for name, loss in losses.items())
        raise CerberusBenchError(
            f"step {self.state.step}: the loss or its gradient is not finite ({shown}; gradient"
            f" norm {norm.item():.3g}). Lower optimiser.learning_rate or set precision to float32"
            f" in the recipe; the last good weights are in {self.out}."
        )

    def _validate_if_due(self, fraction: float, log: CsvLog) -> Validation | None:
        """Validate at even fractions of the run; keep the best model and a checkpoint."""
        state = self.state
        due = math.floor(fraction * self.recipe.schedule.validations + 1e-9)
        if due <= state.validations:
            return None
        state.validations = due
        result = validate(
            state.average,
            self.objective,
            self._validation_plan,
            self._validation_maker,
            self.codes,
        )
        state.seconds = self._clock()
        if result.score > state.best_score:
            state.best_score, state.best_step = result.score, state.step
            save_model(self.out / MODEL, state.average, self._card(result))
        row = {"step": state.step, "seconds": state.seconds, "score": result.score}
        losses = {f"loss {name}": loss for name, loss in result.losses.items()}
        log.add({**row, **result.scores, **losses})
        state.save(self.out / CHECKPOINT, self.identity)
        return result

    def _card(self, validation: Validation) -> ModelCard:
        facts = {
            "training_step": self.state.step,
            "precision": str(self.precision).removeprefix("torch."),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
        }
        return make_card(
            self.state.average,
            self.config.architecture,
            name=self.config.name,
            trained_on=self._trained_on,
            recipe_sha256=self.recipe.sha256,
            seed=self.config.seed,
            validation={"score": validation.score, **validation.scores},
            licence=self.config.licence,
            provenance={**self.config.provenance, **self._initial, **facts},
        )

    def _result(self) -> TrainResult:
        card, state = load_model(self.out / MODEL).card, self.state
        if card is None:
            raise CerberusBenchError(f"{self.out / MODEL} was replaced while the run went on.")
        return TrainResult(
            self.out / MODEL,
            card,
            state.best_score,
            state.best_step,
            state.step,
            state.seconds,
            self.unvalidated,
            self._waited / self._stepped if self._stepped else 0.0,
        )

    def _new_state(self) -> TrainingState:
        torch.manual_seed(self.config.seed)
        model = create(self.config.architecture, self.outputs)
        if self.config.encoder_weights is not None:
            initial = load_encoder(model, self.config.encoder_weights)
            self._initial["encoder_weights_sha256"] = initial.sha256
            self._trained_on += [
                seen for seen in initial.trained_on if seen not in self._trained_on
            ]
        if self.config.freeze_encoder:
            freeze_encoder(model)
            self._initial["encoder_frozen"] = True
        to: Any = {"device": self.device, "memory_format": torch.channels_last}
        model = model.to(**to)
        average: Cerberus = copy.deepcopy(model).requires_grad_(False)
        return TrainingState(model, average, make_optimiser(model, self.recipe.optimiser))


def _wanted_outputs(config: TrainConfig) -> tuple[OutputSpec, ...]:
    weights = config.recipe.losses.outputs
    spec = restrict(architecture(config.architecture), config.tasks)
    return tuple(output for output in spec.outputs if weights.get(output.name, 0) > 0)


def _taught_outputs(
    wanted: Sequence[OutputSpec], store: SampleStore, config: TrainConfig
) -> tuple[str, ...]:
    """Outputs with truth; a task without any is an error, a task without classes is none."""
    taught = tuple(output.name for output in wanted if _has_truth(output.name, store))
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


def _has_truth(output: str, store: SampleStore) -> bool:
    return any(output in entry.outputs for entry in store.entries)


def _check_validation(outputs: Sequence[str], store: SampleStore) -> None:
    if not any(_has_truth(output, store) for output in outputs):
        raise DataError(
            "the validation split has no record with truth for what is trained, so nothing could"
            " choose the weights. Add a dataset, or take another fold."
        )


def _trained_on(store: SampleStore, split: str, fold: int) -> list[TrainedOn]:
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


def _identity(
    config: TrainConfig,
    outputs: Sequence[str],
    trained_on: Sequence[TrainedOn],
    initial: Mapping[str, str | bool],
) -> str:
    """Hash of all that a checkpoint must share with the run that resumes it."""
    facts = [
        config.architecture,
        config.recipe.sha256,
        config.seed,
        list(outputs),
        [[seen.dataset, seen.fingerprint, seen.split, seen.fold] for seen in trained_on],
        dict(initial),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _step_seed(seed: int, step: int) -> int:
    return int(random_stream(seed, step).integers(2**62))
