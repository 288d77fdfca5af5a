"""Training: one loop for single-task and multi-task models, on any mixture of datasets.

Given the seed and the number of threads a run is deterministic, and a resumed run goes on exactly
where its last checkpoint was. It sees the train and validation records that it is given, and
nothing else. Several processes (`torchrun --nproc_per_node 2 -m cerberus_bench train ...`) share
the batches and make the run of one process that works them off in as many parts.
"""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
from cerberus_bench.model_zoo.glimpses import Glimpse, GlimpsePlan
from cerberus_bench.model_zoo.initial_encoder import freeze, load_initial
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.precision import choose_device, choose_precision
from cerberus_bench.model_zoo.processes import Processes, start_processes
from cerberus_bench.model_zoo.registry import create
from cerberus_bench.model_zoo.run_facts import (
    TrainConfig,
    TrainProgress,
    TrainResult,
    check_validation,
    has_truth,
    parts_of,
    run_identity,
    seen_records,
    taught_outputs,
    wanted_outputs,
)
from cerberus_bench.model_zoo.run_log import RunLog, use_tensorboard
from cerberus_bench.model_zoo.samples import SampleStore, codes_of
from cerberus_bench.model_zoo.step import GradientMaker, Part
from cerberus_bench.model_zoo.training_state import TrainingState, learning_rate, make_optimiser
from cerberus_bench.model_zoo.validation import Validation, validate
from cerberus_bench.schema.errors import CerberusBenchError, DataError
from cerberus_bench.schema.model import ModelCard
from cerberus_bench.schema.record import RecordSource

CHECKPOINT, MODEL = "checkpoint.pt", "model.pt"

Draw = Callable[[Sequence[Glimpse]], NDArray[np.uint8]]
"""Draws what a network makes of some windows as one (H, W, 3) RGB picture."""


def train(
    config: TrainConfig,
    train_sources: Sequence[RecordSource],
    validation_sources: Sequence[RecordSource],
    out: Path,
    *,
    resume: bool = False,
    on_progress: Callable[[TrainProgress], None] | None = None,
    draw: Draw | None = None,
) -> TrainResult:
    """Train a model and write `model.pt` (best by validation), `checkpoint.pt` and logs (`RunLog`).

    Only the outputs that some training record has truth for are made.

    Args:
        config: what to train.
        train_sources: records to learn from.
        validation_sources: records that choose the weights. Never a test split.
        out: folder, made if needed.
        resume: go on from the checkpoint in `out`.
        on_progress: called after every step.
        draw: makes the picture that is kept of every validation; none are kept when None.

    Raises:
        DataError: a task has no truth, there is nothing to validate on, `out` already holds a run,
            its checkpoint is of another run, or TensorBoard is asked for and not installed.
        CerberusBenchError: the loss stopped being finite.
    """
    started = time.monotonic()
    use_tensorboard(config.tensorboard)  # before anything is read, say what is not installed
    out.mkdir(parents=True, exist_ok=True)
    if not resume and (out / CHECKPOINT).exists():
        raise DataError(f"{out} already holds a run. Add --resume, or train into another folder.")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with torch.random.fork_rng():
        processes = start_processes(config.device)
        run = _Run(config, train_sources, validation_sources, out, started, processes, draw)
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
        processes: Processes,
        draw: Draw | None,
    ) -> None:
        self.config, self.recipe, self.out = config, config.recipe, out
        self.processes, self.n_parts = processes, parts_of(config, processes)
        self._started = started
        self._draw = draw
        self._earlier = 0.0
        self._waited = self._stepped = 0.0
        wanted = wanted_outputs(config)
        self.codes = codes_of(wanted, [*train_sources, *validation_sources])
        train_store = SampleStore(train_sources, wanted, self.codes, config.cache_bytes)
        validation_store = SampleStore(validation_sources, wanted, self.codes, config.cache_bytes)
        self.outputs = taught_outputs(wanted, train_store, config)
        self._plan = TrainingPlan(train_store.entries, self.recipe, config.seed)
        self._maker = BatchMaker(train_store, self.recipe)
        self._validation_plan = ValidationPlan(validation_store.entries, self.recipe)
        self._validation_maker = BatchMaker(validation_store, self.recipe)
        self._glimpses = GlimpsePlan(
            validation_store,
            self._validation_plan,
            self._validation_maker,
            self.recipe.batches.crop,
        )
        self._trained_on = [
            *seen_records(train_store, "train", config.fold),
            *seen_records(validation_store, "validation", config.fold),
        ]
        self.device = processes.device or choose_device(config.device)
        self.precision = choose_precision(self.recipe.precision, self.device)
        self._initial: dict[str, str | bool] = {}
        self.frozen: tuple[str, ...] = ()
        self.state = self._new_state()
        self.trained = tuple(name for name in self.outputs if name not in self.frozen)
        check_validation(self.trained, validation_store)
        self.unvalidated = tuple(
            name for name in self.trained if not has_truth(name, validation_store)
        )
        self.objective = Objective(
            self.codes, self.recipe.losses, self.device, self.precision, self.frozen
        )
        self._gradient = GradientMaker(self.objective, self.recipe.augmentation, processes)
        self.identity = run_identity(
            config, self.outputs, self._trained_on, self._initial, processes
        )

    def go(self, on_progress: Callable[[TrainProgress], None] | None) -> TrainResult:
        """Step until the run is over."""
        state = self.state
        self._earlier = state.seconds
        log = self._log()
        batches = prefetched(self._batches, state.step)
        fraction = self._fraction()
        try:
            while fraction < 1:
                rate = learning_rate(self.recipe.optimiser, self.recipe.schedule, fraction)
                begin = time.monotonic()
                mine = next(batches)
                waited = time.monotonic() - begin
                losses, total = self._step(mine, rate)
                self._waited += waited
                self._stepped += time.monotonic() - begin
                state.seconds = self._clock()
                fraction = min(self._fraction(), 1.0)
                row = {"step": state.step, "seconds": state.seconds, "learning_rate": rate}
                if log:
                    log.step({**row, "waited": waited, "loss": total, **losses})
                validation = self._validate_if_due(fraction, log)
                if on_progress is not None and not self.processes.rank:
                    on_progress(self._progress(fraction, rate, total, losses, validation, waited))
        finally:
            batches.close()
            if log:
                log.close()
        return self._result()

    def _log(self) -> RunLog | None:
        """Of the first process; the others write nothing."""
        if self.processes.rank:
            return None
        events = use_tensorboard(self.config.tensorboard)
        return RunLog(self.out, self.trained, self.state.step, tensorboard=events)

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

    def _batches(self, step: int) -> list[Batch]:
        """The parts of a step's batch that this process computes."""
        windows, patches, n = self._plan.windows(step), self._plan.patches(step), self.n_parts
        return [self._maker.make(windows[i::n], patches[i::n]) for i in self._own_parts()]

    def _own_parts(self) -> range:
        return range(self.processes.rank, self.n_parts, self.processes.count)

    def _clock(self) -> float:
        """Seconds of this run and of those that it resumes."""
        return self._earlier + time.monotonic() - self._started

    def _fraction(self) -> float:
        done = self.state.step / self.recipe.schedule.steps
        if self.config.max_minutes is None:
            return done
        by_time = self.state.seconds / (60 * self.config.max_minutes)
        return max(done, self.processes.of_first(by_time))

    def _step(self, batches: Sequence[Batch], rate: float) -> tuple[dict[str, float], float]:
        state = self.state
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        state.model.train()
        if self.config.freeze_encoder:
            freeze(state.model, self.frozen)
        state.optimiser.zero_grad(set_to_none=True)
        seeds = [_part_seed(self.config.seed, state.step, part) for part in self._own_parts()]
        parts = [Part(batch, seed) for batch, seed in zip(batches, seeds, strict=True)]
        losses, total = self._gradient(state.model, parts, self.n_parts)
        norm = torch.nn.utils.clip_grad_norm_(
            state.model.parameters(), self.recipe.optimiser.clip_norm
        )
        self._check_finite(losses, norm, parts)
        state.optimiser.step()
        state.step += 1
        state.update_average(self.recipe.optimiser.ema_decay)
        return {name: loss.item() for name, loss in losses.items()}, total.item()

    def _check_finite(
        self, losses: Mapping[str, Tensor], norm: Tensor, parts: Sequence[Part]
    ) -> None:
        if math.isfinite(norm.item()) and all(math.isfinite(v.item()) for v in losses.values()):
            return
        shown = ", ".join(f"{name} {loss.item():.3g}" for name, loss in losses.items())
        saved = self.out / f"bad-batch-{self.processes.rank}.pt"
        torch.save({"step": self.state.step, "parts": [asdict(part) for part in parts]}, saved)
        raise CerberusBenchError(
            f"step {self.state.step}: the loss or its gradient is not finite ({shown}; gradient"
            f" norm {norm.item():.3g}). Lower optimiser.learning_rate or set precision to float32"
            f" in the recipe; the last good weights are in {self.out}, the batch is {saved.name}."
        )

    def _validate_if_due(self, fraction: float, log: RunLog | None) -> Validation | None:
        """Validate at even fractions of the run; keep the best model and a checkpoint.

        The first process does it and the others wait.
        """
        state = self.state
        due = math.floor(fraction * self.recipe.schedule.validations + 1e-9)
        if due <= state.validations:
            return None
        state.validations = due
        result = self._validate(log) if log else None
        self.processes.wait()
        return result

    def _validate(self, log: RunLog) -> Validation:
        state = self.state
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
        picture = None
        if self._draw is not None:
            picture = self._draw(self._glimpses.look(state.average, self.objective))
        log.validation({**row, **result.scores, **losses}, picture)
        state.save(self.out / CHECKPOINT, self.identity)
        return result

    def _card(self, validation: Validation) -> ModelCard:
        facts = {
            "training_step": self.state.step,
            "precision": str(self.precision).removeprefix("torch."),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "parts": self.n_parts,
            "processes": self.processes.count,
        }
        return make_card(
            self.state.average,
            self.config.architecture,
            name=self.config.name,
            trained_on=self._trained_on,
            budget=self._plan.budget(self.config.max_minutes),
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
            self.frozen,
            self.processes.rank,
        )

    def _new_state(self) -> TrainingState:
        torch.manual_seed(self.config.seed)
        pretrained = not self.config.random_encoder
        model = create(self.config.architecture, self.outputs, pretrained=pretrained)
        if model.encoder.weights_sha256 is not None:
            self._initial["encoder_weights_sha256"] = model.encoder.weights_sha256
        self._start(model)
        to: Any = {"device": self.device, "memory_format": torch.channels_last}
        model = model.to(**to)
        average: Cerberus = copy.deepcopy(model).requires_grad_(False)
        return TrainingState(model, average, make_optimiser(model, self.recipe.optimiser))

    def _start(self, model: Cerberus) -> None:
        """Take over what was trained before, and freeze what is to stay."""
        taken: tuple[str, ...] = ()
        if self.config.encoder_weights is not None:
            wanted = [name for name in self.config.keep_outputs if name in self.outputs]
            initial = load_initial(model, self.config.encoder_weights, wanted)
            taken = initial.outputs
            self._initial["encoder_weights_sha256"] = initial.sha256
            self._trained_on += [
                seen for seen in initial.trained_on if seen not in self._trained_on
            ]
        if taken:
            self._initial["outputs_taken_over"] = ", ".join(taken)
        if self.config.freeze_encoder:
            if set(taken) == set(self.outputs):
                raise DataError(
                    f"nothing is left to train: {', '.join(taken)} come with"
                    f" {self.config.encoder_weights} and are frozen. Name more tasks, or add"
                    " --tune-encoder."
                )
            self.frozen = taken
            freeze(model, taken)
            self._initial["encoder_frozen"] = True


def _part_seed(seed: int, step: int, part: int) -> int:
    return int(random_stream(seed, step, part).integers(2**62))
