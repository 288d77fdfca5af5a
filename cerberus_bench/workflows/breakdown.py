"""What a report shows of each task beyond its scores, collected while images are scored."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.eval.classification import calibration
from cerberus_bench.eval.estimates import estimate, image_values
from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.intervals import draw, interval_of
from cerberus_bench.eval.matching import match
from cerberus_bench.eval.overlap import overlap
from cerberus_bench.eval.protocol import CONFUSION, PROTOCOL, Definition, Scope
from cerberus_bench.pictures.breakdown import Breakdown, CalibrationBin, Part, SizeBin
from cerberus_bench.pictures.wording import class_name, metric_name
from cerberus_bench.schema.labels import LabelSpace, common_partition
from cerberus_bench.schema.prediction import Prediction
from cerberus_bench.schema.record import Record
from cerberus_bench.schema.tasks import INSTANCE_TASKS

if TYPE_CHECKING:
    from cerberus_bench.eval.score import Scorer

MOST_PARTS = 12
"""An attribute of more values is a name rather than a slice."""
FEWEST_GROUPS = 3
"""A slice of fewer groups has no interval: two or one say next to nothing of their spread."""
SIZE_BINS = 6
UNNAMED = "not stated"

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Objects:
    """Objects of one task on one image."""

    areas_um2: NDArray[np.float64]
    found: NDArray[np.bool_]
    """(n_truth,) each."""
    true_classes: Ints
    predicted_classes: Ints
    """(n_matched,) zero-based common classes, where both sides have one."""


@dataclass(slots=True)
class Observations:
    """Facts about images that their counts do not keep.

    Args:
        truth_spaces: task -> classes of the dataset.
        prediction_spaces: task -> classes of the model.
    """

    truth_spaces: Mapping[str, LabelSpace]
    prediction_spaces: Mapping[str, LabelSpace]
    attributes: dict[str, dict[str, str]] = field(default_factory=dict, init=False)
    """Sample -> what results may be sliced by."""
    objects: dict[str, dict[str, _Objects]] = field(default_factory=dict, init=False)
    """Task -> sample -> its objects."""

    def add(self, record: Record, prediction: Prediction) -> None:
        """Take note of one image. Safe in threads: each image has entries of its own."""
        self.attributes[record.sample_id] = {"organ": record.organ, **record.attributes}
        for task in INSTANCE_TASKS:
            if task in record.instances and task in prediction.instances and record.covers(task):
                found = self._objects(record, prediction, task)
                self.objects.setdefault(task, {})[record.sample_id] = found

    def _objects(self, record: Record, prediction: Prediction, task: str) -> _Objects:
        truth, predicted = record.instances[task], prediction.instances[task]
        ignore = None if record.valid is None else ~record.valid
        table = overlap(truth.labels, predicted.labels, ignore=ignore)
        pairs = match(table)
        found = np.zeros(table.n_truth, np.bool_)
        found[pairs.truth] = True
        partition = common_partition(self.truth_spaces[task], self.prediction_spaces[task])
        sides = (
            (truth, table.truth_ids[pairs.truth], partition.truth),
            (predicted, table.prediction_ids[pairs.prediction], partition.prediction),
        )
        true, guessed = (
            np.asarray(cells, np.int64)[side.classes[np.searchsorted(side.ids, ids)]]
            for side, ids, cells in sides
        )
        both = (true > 0) & (guessed > 0)
        areas_um2 = table.truth_areas.astype(np.float64) * record.mpp**2
        return _Objects(areas_um2, found, true[both] - 1, guessed[both] - 1)


def find_breakdowns(scorer: "Scorer", observed: Observations) -> list[Breakdown]:
    """Every scored task that has a score of single images, taken apart."""
    return [
        _breakdown(task, definition, counts, observed)
        for task, counts in scorer.image_counts().items()
        if (definition := image_definition(task, counts)) is not None
    ]


def image_definition(task: str, counts: ImageCounts) -> Definition | None:
    """The first score of the protocol that single images have, of all objects and without unit."""
    return next(
        (
            definition
            for definition in PROTOCOL[task]
            if isinstance(definition, Definition)
            and definition.scope is Scope.ALL
            and definition.unit is None
            and counts.has(definition.columns)
        ),
        None,
    )


def _breakdown(
    task: str, definition: Definition, counts: ImageCounts, observed: Observations
) -> Breakdown:
    values = image_values(definition, counts)
    defined = values[~np.isnan(values)]
    objects = list(observed.objects.get(task, {}).values())
    classes, confusion = _confusion(task, counts, objects)
    has_counts = task != "tissue" and counts.has(("n_truth", "tp", "fp"))
    return Breakdown(
        task=task,
        metric=metric_name(definition.metric),
        values=defined.tolist(),
        n_undefined=len(values) - len(defined),
        groups=_parts(definition, counts, counts.groups),
        slices=_slices(definition, counts, observed),
        sizes=_sizes(objects),
        object_counts=_object_counts(counts) if has_counts else (),
        classes=[class_name(task, name) for name in classes],
        confusion=confusion,
        calibration=_calibration(counts) if task == "tissue" else (),
    )


def _parts(definition: Definition, counts: ImageCounts, names: Sequence[str]) -> list[Part]:
    """One part a name, the worst first and undefined ones last."""
    members: dict[str, list[str]] = {}
    for sample, name in zip(counts.sample_ids, names, strict=True):
        members.setdefault(name or UNNAMED, []).append(sample)
    parts = []
    for name, samples in members.items():
        parts.append(_part(name, definition, counts.take(samples)))
    return sorted(parts, key=lambda p: (p.value is None, p.value or 0.0, p.name))


def _part(name: str, definition: Definition, counts: ImageCounts) -> Part:
    pooled = estimate(definition, counts, "pooled")
    n_groups = len(set(counts.groups))
    enough = n_groups >= FEWEST_GROUPS
    low, high = interval_of(pooled, draw(n_groups)) if enough else (None, None)
    return Part(
        name=name,
        n_images=len(counts),
        n_objects=int(counts.columns["n_truth"].sum()),
        value=None if math.isnan(pooled.value) else pooled.value,
        low=low,
        high=high,
        n_groups=n_groups,
    )


def _slices(
    definition: Definition, counts: ImageCounts, observed: Observations
) -> dict[str, list[Part]]:
    """By organ, grade and whatever else the dataset states; for patches, by true tissue."""
    own = {sample: observed.attributes[sample] for sample in counts.sample_ids}
    names = dict.fromkeys(name for attributes in own.values() for name in attributes)
    found = {name: [own[sample].get(name, "") for sample in counts.sample_ids] for name in names}
    if counts.task == "tissue":
        truth = counts.columns["truth"].astype(int).tolist()
        found["tissue"] = [class_name("tissue", counts.classes[t]) for t in truth]
    return {
        name: _parts(definition, counts, values)
        for name, values in found.items()
        if 1 < len(set(values)) <= MOST_PARTS
    }


def _sizes(objects: Sequence[_Objects]) -> list[SizeBin]:
    """Truth objects in `SIZE_BINS` parts of about equal number, by area."""
    if not objects:
        return []
    areas = np.concatenate([one.areas_um2 for one in objects])
    found = np.concatenate([one.found for one in objects])
    if not len(areas):
        return []
    edges = np.unique(np.quantile(areas, np.linspace(0, 1, SIZE_BINS + 1)))
    place = np.clip(np.searchsorted(edges, areas, side="right") - 1, 0, max(len(edges) - 2, 0))
    return [
        SizeBin(
            float(areas[place == b].min()),
            float(areas[place == b].max()),
            int((place == b).sum()),
            int(found[place == b].sum()),
        )
        for b in np.unique(place).tolist()
    ]


def _object_counts(counts: ImageCounts) -> list[tuple[int, int]]:
    predicted = counts.columns["tp"] + counts.columns["fp"]
    pairs = zip(counts.columns["n_truth"].tolist(), predicted.tolist(), strict=True)
    return [(int(truth), int(found)) for truth, found in pairs]


def _confusion(
    task: str, counts: ImageCounts, objects: Sequence[_Objects]
) -> tuple[tuple[str, ...], list[list[int]]]:
    """Classes and their matrix; nothing where fewer than two classes are common."""
    classes = counts.classes
    if len(classes) < 2:
        return (), []
    if task == "tissue":
        sums = {name: int(values.sum()) for name, values in counts.columns.items()}
        return classes, [[sums[f"{CONFUSION}{a}/{b}"] for b in classes] for a in classes]
    table = np.zeros((len(classes), len(classes)), np.int64)
    for one in objects:
        np.add.at(table, (one.true_classes, one.predicted_classes), 1)
    return (classes, table.tolist()) if table.any() else ((), [])


def _calibration(counts: ImageCounts) -> list[CalibrationBin]:
    probabilities = np.stack([counts.columns[f"p/{name}"] for name in counts.classes], axis=1)
    bins = calibration(counts.columns["truth"].astype(int), probabilities).bins
    return [
        CalibrationBin(int(n), float(confidence / n), float(right / n))
        for n, confidence, right in bins
        if n
    ]
