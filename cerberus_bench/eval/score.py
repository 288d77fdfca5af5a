"""Records and predictions in, a report out; one image at a time, mergeable.

Only counts are kept, so memory does not grow with the size of images, and shards scored on
different machines merge into the report that one machine would have made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from cerberus_bench.eval.image_counts import Boxes, ImageCounts
from cerberus_bench.eval.intervals import N_RESAMPLES, SEED
from cerberus_bench.eval.invariants import check_report
from cerberus_bench.eval.protocol import PROTOCOL_VERSION
from cerberus_bench.eval.rows import Counts, instance_row, signet_ring_row, tissue_row
from cerberus_bench.eval.scores import scores_of
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace, Partition, common_partition
from cerberus_bench.schema.prediction import Prediction
from cerberus_bench.schema.record import Record
from cerberus_bench.schema.report import ScoredPartition, ScoreReport
from cerberus_bench.schema.tasks import INSTANCE_TASKS, TASKS


@dataclass(frozen=True, slots=True)
class _Row:
    group: str
    organ: str
    counts: Counts
    boxes: Boxes | None = None


@dataclass(slots=True)
class Scorer:
    """Scores of one model on one dataset, collected image by image.

    Args:
        truth_spaces: task -> what class indices of the records mean.
        prediction_spaces: task -> what class indices of the predictions mean. Its keys are the
            tasks that the model predicts.
    """

    truth_spaces: Mapping[str, LabelSpace]
    prediction_spaces: Mapping[str, LabelSpace]
    _groups: dict[str, str] = field(default_factory=dict, init=False)
    _annotated: set[str] = field(default_factory=set, init=False)
    _rows: dict[str, dict[str, _Row]] = field(default_factory=dict, init=False)
    _excluded_patches: int = field(default=0, init=False)

    def add(self, record: Record, prediction: Prediction) -> None:
        """Score one image in every task that is annotated on it and predicted.

        Raises:
            DataError: the prediction is of another image, incomplete or of another shape, or the
                image was added before.
        """
        if record.sample_id != prediction.sample_id:
            raise DataError(
                f"the record is {record.sample_id}, the prediction {prediction.sample_id}"
            )
        if record.sample_id in self._groups:
            raise DataError(f"{record.sample_id} was scored before; give each image once")
        covered = {task for task in TASKS if record.covers(task)}
        rows = {
            task: row
            for task in sorted(covered & set(self.prediction_spaces))
            if (row := self._score(record, prediction, task)) is not None
        }
        self._annotated |= covered
        self._groups[record.sample_id] = record.group
        for task, row in rows.items():
            self._rows.setdefault(task, {})[record.sample_id] = row

    def merge(self, other: "Scorer") -> None:
        """Take over what another scorer of the same model and dataset has collected.

        Raises:
            DataError: the label spaces differ, or an image is in both.
        """
        if (self.truth_spaces, self.prediction_spaces) != (
            other.truth_spaces,
            other.prediction_spaces,
        ):
            raise DataError("the shards have different label spaces; score them with one model")
        twice = sorted(self._groups.keys() & other._groups.keys())
        if twice:
            raise DataError(f"{twice[0]} is in two shards ({len(twice)} such images)")
        self._groups |= other._groups
        self._annotated |= other._annotated
        self._excluded_patches += other._excluded_patches
        for task, rows in other._rows.items():
            self._rows.setdefault(task, {}).update(rows)

    def image_counts(self) -> dict[str, ImageCounts]:
        """Task -> counts of its images in order of sample id, whatever the order of adding.

        Raises:
            DataError: images of a task were annotated in different ways.
        """
        return {task: _collect(task, self._rows[task]) for task in TASKS if self._rows.get(task)}

    def report(self, *, n_resamples: int = N_RESAMPLES, seed: int = SEED) -> ScoreReport:
        """All scores of the protocol with intervals, checked against the invariants."""
        tables = self.image_counts()
        report = ScoreReport(
            protocol_version=PROTOCOL_VERSION,
            scores=[s for t in tables.values() for s in scores_of(t, n_resamples, seed)],
            not_predicted=_ordered(self._annotated - set(self.prediction_spaces)),
            not_annotated=_ordered(set(self.prediction_spaces) - self._annotated),
            partitions={task: self._scored_partition(table) for task, table in tables.items()},
            n_images=len(self._groups),
            n_groups=len(set(self._groups.values())),
            seed=seed,
            n_resamples=n_resamples,
        )
        check_report(report, "the report just made")
        return report

    def _score(self, record: Record, prediction: Prediction, task: str) -> _Row | None:
        partition = self._partition(task)
        boxes = None
        if task in INSTANCE_TASKS:
            counts: Counts | None = instance_row(record, prediction, task, partition)
        elif task == "tissue":
            counts = tissue_row(record, prediction, partition) if partition.cells else None
            self._excluded_patches += counts is None
        else:
            counts, boxes = signet_ring_row(record, prediction)
        return None if counts is None else _Row(record.group, record.organ, counts, boxes)

    def _partition(self, task: str) -> Partition:
        empty = LabelSpace(task, ())
        return common_partition(
            self.truth_spaces.get(task, empty), self.prediction_spaces.get(task, empty)
        )

    def _scored_partition(self, table: ImageCounts) -> ScoredPartition:
        partition = self._partition(table.task)
        excluded = [
            int(table.columns[name].sum()) if name in table.columns else 0
            for name in ("truth_excluded", "prediction_excluded")
        ]
        if table.task == "tissue":
            excluded[0] = self._excluded_patches
        return ScoredPartition(
            classes=list(partition.cells),
            truth_only=list(partition.truth_only),
            prediction_only=list(partition.prediction_only),
            n_truth_excluded=excluded[0],
            n_prediction_excluded=excluded[1],
        )


def score(
    pairs: Iterable[tuple[Record, Prediction]],
    truth_spaces: Mapping[str, LabelSpace],
    prediction_spaces: Mapping[str, LabelSpace],
) -> ScoreReport:
    """Score a stream of records with their predictions. See `Scorer`."""
    scorer = Scorer(truth_spaces, prediction_spaces)
    for record, prediction in pairs:
        scorer.add(record, prediction)
    return scorer.report()


def _collect(task: str, rows: Mapping[str, _Row]) -> ImageCounts:
    ordered = [rows[sample] for sample in sorted(rows)]
    names = list(ordered[0].counts)
    for sample, row in rows.items():
        if row.counts.keys() != ordered[0].counts.keys():
            raise DataError(
                f"{sample}: {task} is annotated in another way than on other images (objects here,"
                " points there). Split the dataset in two."
            )
    return ImageCounts(
        task,
        tuple(sorted(rows)),
        tuple(row.group for row in ordered),
        tuple(row.organ for row in ordered),
        {name: np.array([row.counts[name] for row in ordered], np.float64) for name in names},
        tuple(row.boxes for row in ordered if row.boxes is not None),
    )


def _ordered(tasks: set[str]) -> list[str]:
    return [task for task in TASKS if task in tasks]
