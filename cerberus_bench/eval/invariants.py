"""What no honest report can break; checked when scoring and whenever a result is loaded.

Values must follow from the counts beside them by the formulas of the protocol, counts must agree
with each other, and ratios must stay within their bounds.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from cerberus_bench.eval.estimates import estimate, value_of
from cerberus_bench.eval.formulas import mean_of_defined
from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.protocol import (
    CONFUSION,
    PROTOCOL_VERSION,
    Definition,
    Ranking,
    Scope,
)
from cerberus_bench.eval.scores import find
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.report import Score, ScoreReport

TOLERANCE = 1e-9
"""Relative to 1, or to the larger side where that is above 1."""

LARGEST = 2**53
"""Whole numbers below are exact in float64."""


def check_report(report: ScoreReport, name: str) -> None:
    """Refuse a report that contradicts itself.

    Args:
        report: of the current protocol version; of another only bounds are checked.
        name: what to call it in the error, usually its file.

    Raises:
        DataError: the first contradiction found.
    """
    problem = next(_problems(report), None)
    if problem is not None:
        raise DataError(
            f"{name}: {problem}. The file was changed or made by something else; evaluate again."
        )


def check_image_counts(report: ScoreReport, tables: Mapping[str, ImageCounts], name: str) -> None:
    """Refuse image counts that do not give the numbers of the report.

    Counts of each image must agree with each other, their sums must be the pooled counts, and
    the means of images must follow from them, so that no image can lend to another.

    Args:
        report: of the current protocol version.
        tables: task -> counts of its images.
        name: of the file, for the error.

    Raises:
        DataError: the first number that differs.
    """
    for table in tables.values():
        _check_each_image(table, name)
    for score in report.scores:
        if score.task not in tables:
            continue
        check = _check_sums if score.averaging == "pooled" else _check_image_mean
        check(score, tables[score.task], name)


def _check_each_image(table: ImageCounts, name: str) -> None:
    for suffix in ("", *(f"/{class_name}" for class_name in table.classes)):
        needed = [f"{count}{suffix}" for count in ("n_truth", "tp", "fn")]
        if not table.has(needed):
            continue
        n_truth, tp, fn = (table.columns[column] for column in needed)
        wrong = np.flatnonzero((tp + fn != n_truth) | (tp < 0) | (fn < 0))
        if len(wrong):
            i = wrong[0]
            raise DataError(
                f"{name}: {table.sample_ids[i]}: {table.task}{suffix}: {tp[i]:g} found and"
                f" {fn[i]:g} missed of {n_truth[i]:g} objects. The file was changed; evaluate"
                " again."
            )


def _check_sums(score: Score, table: ImageCounts, name: str) -> None:
    suffix = f"/{score.class_name}" if score.class_name else ""
    if len(table) != score.n_images:
        raise DataError(f"{name}: {len(table)} images, the report has {score.n_images}")
    for key, expected in score.counts.items():
        column = table.columns.get(key + suffix)
        if column is None or not _close(float(column.sum()), expected):
            raise DataError(
                f"{name}: {_label(score)}: {key} of the images does not sum to {expected}"
            )


def _check_image_mean(score: Score, table: ImageCounts, name: str) -> None:
    definition = find(
        score.task, score.metric, score.averaging, score.convention, score.class_name, score.unit
    )
    if isinstance(definition, Ranking) or score.value is None:
        return
    made = estimate(definition, table, score.averaging, score.class_name).value
    if not _close(made, score.value):
        raise DataError(
            f"{name}: {_label(score)}: the mean of these images is {made}, the report has"
            f" {score.value}. They are of two runs, or one was changed; evaluate again."
        )


def _problems(report: ScoreReport) -> Iterator[str]:
    current = report.protocol_version == PROTOCOL_VERSION
    seen = set()
    for score in report.scores:
        yield from _number_problems(score, report)
        if _key(score) in seen:
            yield f"{_label(score)} is there twice"
        seen.add(_key(score))
        if current:
            yield from _score_problems(score)
    if current:
        yield from _cross_problems(report)


def _key(score: Score) -> tuple[str | None, ...]:
    return (*_group_key(score), score.metric, score.convention, score.averaging, score.unit)


def _group_key(score: Score) -> tuple[str | None, ...]:
    return score.task, score.class_name


def _label(score: Score) -> str:
    of_class = f" of {score.class_name}" if score.class_name else ""
    return f"{score.task} {score.metric}{of_class} ({score.averaging}, {score.convention})"


def _number_problems(score: Score, report: ScoreReport) -> Iterator[str]:
    if score.n_images > report.n_images or score.n_groups > min(score.n_images, report.n_groups):
        yield f"{_label(score)}: more images or groups than there are"
    if score.n_undefined + score.n_infinite > score.n_images:
        yield f"{_label(score)}: more undefined images than images"
    if (score.low is None) != (score.high is None):
        yield f"{_label(score)}: half an interval"
    if score.low is not None and score.high is not None and score.low > score.high:
        yield f"{_label(score)}: interval {score.low} to {score.high} is upside down"
    if score.value is None and score.low is not None:
        yield f"{_label(score)}: an interval without a value"
    if any(not 0 <= v < LARGEST for v in score.counts.values()):
        yield f"{_label(score)}: a count is negative or beyond all measure"


def _score_problems(score: Score) -> Iterator[str]:
    try:
        definition = find(
            score.task,
            score.metric,
            score.averaging,
            score.convention,
            score.class_name,
            score.unit,
        )
    except DataError as error:
        yield str(error)
        return
    for value in (score.value, score.low, score.high):
        if value is not None and not _within(value, definition.low, definition.high):
            yield f"{_label(score)} is {value}, outside {definition.low} to {definition.high}"
    if isinstance(definition, Ranking):
        return
    try:
        expected = _recomputed(definition, score)
    except KeyError as error:
        yield f"{_label(score)}: no count {error}"
        return
    if not _same(score.value, expected):
        yield f"{_label(score)} is {score.value}, but its counts give {expected}"


def _recomputed(definition: Definition, score: Score) -> float:
    counts = score.counts
    if score.averaging == "image_mean":
        strata = [name.removeprefix("sum") for name in counts if name.startswith("sum")]
        means = [_ratio(counts["sum" + stratum], counts["n" + stratum]) for stratum in strata]
        return float(mean_of_defined(np.array(means)))
    classes: tuple[str, ...] = ()
    if definition.scope is Scope.CLASS_MEAN:
        first = definition.columns[0] + "/"
        classes = tuple(name.removeprefix(first) for name in counts if name.startswith(first))
    sums = {name: np.array(value, np.float64) for name, value in counts.items()}
    return float(value_of(definition, sums, classes, None))


def _cross_problems(report: ScoreReport) -> Iterator[str]:
    """Agreement of scores of the same objects."""
    groups: dict[tuple[str | None, ...], dict[str, Score]] = {}
    for score in report.scores:
        if score.averaging == "pooled" and score.convention == "exact" and score.unit is None:
            groups.setdefault(_group_key(score), {})[score.metric] = score
    for scores in groups.values():
        yield from _panoptic_problems(scores)
        yield from _object_problems(scores)
        yield from _jaccard_problems(scores)
        yield from _confusion_problems(scores)


def _panoptic_problems(scores: Mapping[str, Score]) -> Iterator[str]:
    if not {"pq", "dq", "sq", "f1"} <= scores.keys():
        return
    pq, dq, sq, f1 = (scores[name].value for name in ("pq", "dq", "sq", "f1"))
    if dq != f1:
        yield f"{scores['pq'].task}: DQ {dq} is not F1 {f1}"
    product = None if dq is None or sq is None else dq * sq
    if not _same(pq, math.nan if product is None else product):
        yield f"{scores['pq'].task}: PQ {pq} is not DQ * SQ {product}"


def _object_problems(scores: Mapping[str, Score]) -> Iterator[str]:
    """Tp + fn are the objects of the truth, tp + fp those predicted, whatever the score."""
    predicted = set()
    for score in scores.values():
        for prefix in ("", "object_", "detection_"):
            names = [f"{prefix}{name}" for name in ("tp", "fp", "fn")]
            if not all(name in score.counts for name in names):
                continue
            tp, fp, fn = (score.counts[name] for name in names)
            if tp + fn != score.n_objects:
                yield f"{_label(score)}: tp + fn is {tp + fn}, the truth has {score.n_objects}"
            if prefix == "":
                predicted.add(tp + fp)
                if score.counts.get("sum_iou", 0) > tp:
                    yield f"{_label(score)}: the IoUs of {tp} pairs sum to more than {tp}"
    if len(predicted) > 1:
        yield f"tp + fp differs between scores of the same objects: {sorted(predicted)}"


def _jaccard_problems(scores: Mapping[str, Score]) -> Iterator[str]:
    if "dice" not in scores:
        return
    inside, total = (scores["dice"].counts[f"dice_{name}"] for name in ("intersection", "total"))
    if 2 * inside > total:
        yield f"{_label(scores['dice'])}: the intersection exceeds both sides"
    jaccard = _ratio(inside, total - inside)
    for name in ("aji", "aji_plus"):
        value = scores[name].value if name in scores else None
        if value is not None and value > jaccard + TOLERANCE:
            yield f"{_label(scores[name])} is {value}, above the foreground Jaccard {jaccard}"


def _confusion_problems(scores: Mapping[str, Score]) -> Iterator[str]:
    score = scores.get("accuracy")
    if score is None:
        return
    cells = {
        tuple(name[len(CONFUSION) :].split("/")): value
        for name, value in score.counts.items()
        if name.startswith(CONFUSION)
    }
    right = sum(value for (true, guess), value in cells.items() if true == guess)
    if (right, sum(cells.values())) != (score.counts["correct"], score.counts["n_truth"]):
        yield f"{_label(score)}: the confusion matrix does not sum to its counts"


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low - TOLERANCE) and (high is None or value <= high + TOLERANCE)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def _same(value: float | None, expected: float) -> bool:
    if value is None:
        return math.isnan(expected)
    return _close(value, expected)


def _close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
