"""The best, the middle and the worst images of each task, predicted again for the report."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from cerberus_bench.eval.estimates import image_values
from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.matching import match
from cerberus_bench.eval.overlap import overlap
from cerberus_bench.pictures import Example
from cerberus_bench.schema.prediction import Prediction
from cerberus_bench.schema.record import Record, RecordSource
from cerberus_bench.schema.tasks import INSTANCE_TASKS
from cerberus_bench.workflows.breakdown import image_definition

if TYPE_CHECKING:
    from cerberus_bench.eval.score import Scorer

PER_TASK = 3
"""How many worst, how many middle and how many best images are shown of a task at most."""

Rank = Literal["best", "median", "worst"]


def find_examples(
    scorer: "Scorer", source: RecordSource, predict: Callable[[Record], Prediction]
) -> list[Example]:
    """Examples of every task that was scored.

    Predictions are made again for the few images that are shown, so that memory does not grow
    with the dataset.
    """
    place = {sample: i for i, sample in enumerate(source.sample_ids)}
    found = []
    for task, counts in scorer.image_counts().items():
        for rank, sample, score in _ranked(task, counts):
            record = source[place[sample]]
            found.append(_example(task, rank, score, record, predict(record), scorer))
    return found


def _ranked(task: str, counts: ImageCounts) -> Iterator[tuple[Rank, str, float]]:
    """(rank, sample id, score): worst images first, the middle, then the best; none twice."""
    definition = image_definition(task, counts)
    if definition is None:
        return
    values = image_values(definition, counts)
    defined = [i for i in np.argsort(values, kind="stable").tolist() if not math.isnan(values[i])]
    n = min(PER_TASK, len(defined) // 2)
    n_middle = min(PER_TASK, len(defined) - 2 * n)
    start = (len(defined) - n_middle) // 2
    chosen: tuple[tuple[Rank, list[int]], ...] = (
        ("worst", defined[:n]),
        ("median", defined[start : start + n_middle]),
        ("best", defined[::-1][:n]),
    )
    for rank, rows in chosen:
        for i in rows:
            yield rank, counts.sample_ids[i], float(values[i])


def _example(
    task: str,
    rank: Rank,
    score: float,
    record: Record,
    prediction: Prediction,
    scorer: "Scorer",
) -> Example:
    example = partial(
        Example,
        task=task,
        sample_id=record.sample_id,
        group=record.group,
        score=score,
        rank=rank,
        image=record.image,
    )
    if task in INSTANCE_TASKS:
        return _with_objects(example, record, prediction, task)
    if task == "tissue":
        return _with_classes(example, record, prediction, scorer)
    return example(truth=record.signet_ring, prediction=prediction.boxes)


def _with_objects(
    example: Callable[..., Example], record: Record, prediction: Prediction, task: str
) -> Example:
    truth, found = record.instances[task].labels, prediction.instances[task].labels
    table = overlap(truth, found, ignore=None if record.valid is None else ~record.valid)
    matched = match(table)
    missed = np.setdiff1d(table.truth_ids, table.truth_ids[matched.truth])
    spurious = np.setdiff1d(table.prediction_ids, table.prediction_ids[matched.prediction])
    return example(
        truth=truth,
        prediction=found,
        missed=tuple(missed.tolist()),
        spurious=tuple(spurious.tolist()),
    )


def _with_classes(
    example: Callable[..., Example], record: Record, prediction: Prediction, scorer: "Scorer"
) -> Example:
    if record.tissue is None or prediction.tissue is None:
        raise ValueError(f"{record.sample_id} has no tissue class on one side")
    best = int(np.argmax(prediction.tissue))
    return example(
        truth_class=scorer.truth_spaces["tissue"].classes[record.tissue],
        predicted_class=scorer.prediction_spaces["tissue"].classes[best],
        probability=float(prediction.tissue[best]),
    )
