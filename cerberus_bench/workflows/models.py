"""What can be evaluated: zoo names, model files, and (trusted) user code, behind one protocol."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.hub import PREFIX
from cerberus_bench.model_zoo.options import DEFAULT, RunOptions
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import PredictedInstances, Prediction
from cerberus_bench.schema.record import Record
from cerberus_bench.schema.result import ModelInfo
from cerberus_bench.schema.running import Backend, Mode, Precision
from cerberus_bench.schema.tasks import INSTANCE_TASKS, TASKS
from cerberus_bench.workflows.networks import RANDOM, load_network, network_predictor

if TYPE_CHECKING:
    from cerberus_bench.model_zoo.classical import ClassicalModel


class Predictor(Protocol):
    """Anything that can be evaluated."""

    @property
    def info(self) -> ModelInfo:
        """Which model this is."""
        ...

    @property
    def label_spaces(self) -> Mapping[str, LabelSpace]:
        """Task -> classes; its keys are the tasks that the model predicts."""
        ...

    def predict(self, record: Record, tasks: Collection[str]) -> Prediction:
        """Predict some of the model's tasks on one record, on the record's own grid."""
        ...


def find_model(
    name: str,
    *,
    trust: bool = False,
    mode: Mode = "exact",
    precision: Precision = "fp32",
    backend: Backend = "torch",
) -> Predictor:
    """A predictor from a name. Networks of ours run on the GPU, where torch finds one.

    Args:
        name: a zoo name, a classical baseline of `list models`, a model file,
            `hf:ORG/NAME[@revision]` on the Hub, `random:<zoo name>` (random weights, the floor of
            every comparison), or `module:factory`.
        trust: allow `module:factory`, which runs its code.
        mode: exact, the windows of the model's card; fast, larger ones.
        precision: number type of the network.
        backend: what computes it.

    Raises:
        DataError: there is no such model, the file is refused, code is not trusted, the backend is
            not installed, or the model is no network and is to be run otherwise than by default.
        HubError: the Hub cannot be reached, and the model was not pulled before.
    """
    from cerberus_bench.model_zoo.classical import CLASSICAL
    from cerberus_bench.model_zoo.registry import TRANSFORMERS

    options = RunOptions(mode, precision, backend)
    if name in CLASSICAL:
        return _as_usual(ClassicalPredictor(name, CLASSICAL[name]), options)
    known = (RANDOM, PREFIX, TRANSFORMERS)
    is_code = ":" in name and not name.startswith(known) and not Path(name).exists()
    if not is_code:
        return network_predictor(load_network(name, backend=backend), options)
    model = _from_factory(name, trust)
    if hasattr(model, "predict"):
        return _as_usual(CallablePredictor(name, model), options)
    from cerberus_bench.model_zoo.checkpoint import wrap_module

    return network_predictor(wrap_module(name, model), options)


@dataclass(frozen=True)
class CallablePredictor:
    """User code: an object with `predict(image) -> {task: label map}`."""

    name: str
    model: Any

    @property
    def label_spaces(self) -> Mapping[str, LabelSpace]:
        """The instance tasks that the object names in `tasks` (default: nuclei, gland, lumen)."""
        tasks = getattr(self.model, "tasks", INSTANCE_TASKS)
        return {task: TASKS[task].labels for task in tasks}

    @property
    def info(self) -> ModelInfo:
        """Model facts: little is known of user code."""
        return unfiled_model(self.name, list(self.label_spaces))

    def predict(self, record: Record, tasks: Collection[str]) -> Prediction:
        """Call the object on the image and take the tasks that were asked for.

        Raises:
            DataError: a label map does not fit the image.
        """
        found = self.model.predict(record.image)
        return Prediction(
            sample_id=record.sample_id,
            instances={t: as_instances(found[t], record, t) for t in tasks if t in found},
        )


@dataclass(frozen=True)
class ClassicalPredictor:
    """A baseline without weights."""

    name: str
    model: "ClassicalModel"

    @property
    def label_spaces(self) -> Mapping[str, LabelSpace]:
        """Its one task, without classes."""
        return {self.model.task: LabelSpace(self.model.task, ())}

    @property
    def info(self) -> ModelInfo:
        """Model facts: nothing was trained, so nothing was seen."""
        return ModelInfo(
            name=self.name,
            file_sha256=None,
            architecture=self.model.description,
            tasks=[self.model.task],
            kind="single",
            parameters=0,
            trained_on=[],
        )

    def predict(self, record: Record, tasks: Collection[str]) -> Prediction:
        """Segment the image at its own resolution."""
        labels = {
            task: self.model.segment(record.image, record.mpp)
            for task in tasks
            if task == self.model.task
        }
        return Prediction(
            sample_id=record.sample_id,
            instances={task: as_instances(found, record, task) for task, found in labels.items()},
        )


def unfiled_model(name: str, tasks: Sequence[str]) -> ModelInfo:
    """What is known of a model without a file of ours: its name and its tasks."""
    return ModelInfo(
        name=name,
        file_sha256=None,
        tasks=list(tasks),
        kind="multi" if len(tasks) > 1 else "single",
        trained_on=None,
    )


def as_instances(
    labels: NDArray[Any], record: Record, task: str, classes: Mapping[int, int] | None = None
) -> PredictedInstances:
    """Check a foreign label map against its record.

    Args:
        labels: (H, W) non-negative integers, 0 = background.
        record: what it was predicted on.
        task: its task, for the error.
        classes: id -> one-based class index; absent ids have no class.

    Raises:
        DataError: shape or dtype do not fit.
    """
    labels = np.asarray(labels)
    if labels.shape != record.image.shape[:2] or labels.dtype.kind not in "iu":
        raise DataError(
            f"{record.sample_id}: the {task} label map has shape {labels.shape} and dtype"
            f" {labels.dtype}; it must be integers of shape {record.image.shape[:2]}, the image's."
        )
    if labels.size and (labels.min() < 0 or labels.max() >= 2**31):
        raise DataError(f"{record.sample_id}: {task} ids must lie in 0 .. 2^31 - 1")
    ids = np.unique(labels).astype(np.int64)
    ids = ids[ids > 0]
    indices = np.array([(classes or {}).get(i, 0) for i in ids.tolist()], np.int64)
    return PredictedInstances(labels.astype(np.int32), ids, indices, np.ones(len(ids)))


def _as_usual(predictor: Predictor, options: RunOptions) -> Predictor:
    if options != DEFAULT:
        raise DataError(
            f"{predictor.info.name} is no network: --mode, --precision and --backend do not apply"
            " to it. Leave them out."
        )
    return predictor


def _from_factory(name: str, trust: bool) -> Any:
    if not trust:
        raise DataError(
            f"{name} is code: loading it runs it. Add --trust (trust=True) if you trust it."
        )
    module, _, factory = name.partition(":")
    try:
        return getattr(import_module(module), factory)()
    except (ImportError, AttributeError) as error:
        raise DataError(f"{name}: {error}. Is the module importable from here?") from error
