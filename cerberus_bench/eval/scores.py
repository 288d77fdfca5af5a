"""The scores of one task from the counts of its images, and the difference of two models."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cerberus_bench.eval.estimates import (
    columns_of,
    estimate,
    image_values,
    ranking_estimate,
    strata_of,
)
from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.intervals import (
    N_RESAMPLES,
    SEED,
    Difference,
    Estimate,
    draw,
    interval_of,
    paired_difference,
)
from cerberus_bench.eval.overlap import Bool, Float64
from cerberus_bench.eval.protocol import PROTOCOL, Definition, Ranking, Scope, suffix_of
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.report import Averaging, Score

Number = float | int


def scores_of(counts: ImageCounts, n_resamples: int = N_RESAMPLES, seed: int = SEED) -> list[Score]:
    """All scores of one task, with intervals."""
    draws = draw(len(counts.group_names), n_resamples, seed)
    known: dict[tuple[str, str], Estimate] = {}
    return [
        _score(definition, counts, averaging, class_name, draws, known)
        for definition in PROTOCOL[counts.task]
        if _applies(definition, counts)
        for class_name in _class_names(definition, counts)
        for averaging in averagings(definition)
    ]


def compare(
    first: ImageCounts,
    second: ImageCounts,
    metric: str,
    *,
    averaging: Averaging = "pooled",
    convention: str = "exact",
    class_name: str | None = None,
    unit: str | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
) -> Difference:
    """First model minus second in one score, on the same images and the same resamples.

    Args:
        first: counts of one model.
        second: counts of the other, of the same images.
        metric: name of a score of the task in the protocol.
        averaging: pooled or image_mean.
        convention: as in the protocol.
        class_name: class, or None for a score of all objects or a mean over classes.
        unit: um or px where a length has both.
        n_resamples: number of resamples.
        seed: of the resamples.

    Raises:
        DataError: there is no such score, the images or their groups differ, or a value is
            undefined.
    """
    if (first.task, first.sample_ids, first.groups) != (
        second.task,
        second.sample_ids,
        second.groups,
    ):
        raise DataError(
            f"the two models were scored on different images of {first.task}"
            f" ({len(first)} and {len(second)}); compare them on the same split"
        )
    definition = find(first.task, metric, averaging, convention, class_name, unit)
    for counts in (first, second):
        if not _applies(definition, counts) or class_name not in _class_names(definition, counts):
            raise DataError(f"{metric} ({class_name or 'all'}) was not scored for {counts.task}")
    draws = draw(len(first.group_names), n_resamples, seed)
    one, other = (_estimate(definition, c, averaging, class_name) for c in (first, second))
    return paired_difference(one, other, draws)


def find(
    task: str,
    metric: str,
    averaging: Averaging,
    convention: str,
    class_name: str | None,
    unit: str | None = None,
) -> Definition | Ranking:
    """The definition of a score in the protocol.

    Raises:
        DataError: the protocol has none.
    """
    for definition in PROTOCOL.get(task, ()):
        fits_class = (definition.scope is Scope.EACH_CLASS) == (class_name is not None)
        if (
            (definition.metric, definition.convention) == (metric, convention)
            and fits_class
            and averaging in averagings(definition)
            and unit == unit_of(definition)
        ):
            return definition
    asked = f"{task} {metric} ({averaging}, {convention}, class {class_name}, unit {unit})"
    raise DataError(f"the protocol has no score {asked}")


def averagings(definition: Definition | Ranking) -> tuple[Averaging, ...]:
    """How a score is averaged; the first is its headline where it is one."""
    return ("pooled",) if isinstance(definition, Ranking) else definition.averaging


def unit_of(definition: Definition | Ranking) -> str | None:
    """Unit of a length, None for a ratio."""
    return None if isinstance(definition, Ranking) else definition.unit


def _applies(definition: Definition | Ranking, counts: ImageCounts) -> bool:
    if definition.scope is not Scope.ALL and not counts.classes:
        return False
    if isinstance(definition, Ranking):
        return True
    if definition.by_tissue and ("" in counts.organs or len(set(counts.organs)) < 2):
        return False
    a_class = counts.classes[0] if definition.scope is Scope.EACH_CLASS else None
    return counts.has(columns_of(definition, counts.classes, a_class))


def _class_names(
    definition: Definition | Ranking, counts: ImageCounts
) -> tuple[str, ...] | tuple[None]:
    return counts.classes if definition.scope is Scope.EACH_CLASS else (None,)


def _estimate(
    definition: Definition | Ranking,
    counts: ImageCounts,
    averaging: Averaging,
    class_name: str | None,
    known: dict[tuple[str, str], Estimate] | None = None,
) -> Estimate:
    if isinstance(definition, Ranking):
        return ranking_estimate(definition, counts, class_name, known)
    return estimate(definition, counts, averaging, class_name)


def _score(
    definition: Definition | Ranking,
    counts: ImageCounts,
    averaging: Averaging,
    class_name: str | None,
    draws: Float64,
    known: dict[tuple[str, str], Estimate],
) -> Score:
    made = _estimate(definition, counts, averaging, class_name, known)
    low, high = interval_of(made, draws)
    return Score(
        task=counts.task,
        metric=definition.metric,
        class_name=class_name,
        convention=definition.convention,
        averaging=averaging,
        unit=unit_of(definition),
        headline=definition.headline and averaging == averagings(definition)[0],
        value=None if math.isnan(made.value) else made.value,
        low=low,
        high=high,
        n_images=len(counts),
        n_groups=len(counts.group_names),
        n_objects=_n_objects(definition, counts, class_name),
        **_counted(definition, counts, averaging, class_name),
    )


def _n_objects(
    definition: Definition | Ranking, counts: ImageCounts, class_name: str | None
) -> int:
    names = counts.classes if definition.scope is Scope.CLASS_MEAN else (class_name,)
    return sum(int(counts.columns["n_truth" + suffix_of(name)].sum()) for name in names)


def _counted(
    definition: Definition | Ranking,
    counts: ImageCounts,
    averaging: Averaging,
    class_name: str | None,
) -> dict[str, Any]:
    """The counts behind a score, and the images left out of it."""
    if isinstance(definition, Ranking):
        return {"n_undefined": 0}
    infinite = _one_side_empty(definition, counts)
    if averaging == "pooled":
        sums = _pooled_sums(definition, counts, class_name)
        return {"n_undefined": 0, "n_infinite": int(infinite.sum()), "counts": sums}
    values = image_values(definition, counts, class_name)
    missing = np.isnan(values)
    return {
        "n_undefined": int((missing & ~infinite).sum()),
        "n_infinite": int(infinite.sum()),
        "counts": _mean_sums(values, missing, strata_of(definition, counts)),
    }


def _one_side_empty(definition: Definition, counts: ImageCounts) -> Bool:
    """Images where a distance is infinite."""
    if definition.unit is None:
        return np.zeros(len(counts), np.bool_)
    return counts.columns["one_side_empty"] > 0


def _pooled_sums(
    definition: Definition, counts: ImageCounts, class_name: str | None
) -> dict[str, Number]:
    names = dict.fromkeys(columns_of(definition, counts.classes, class_name))
    if definition.shown:
        names |= dict.fromkeys(n for n in counts.columns if n.startswith(definition.shown))
    suffix = suffix_of(class_name)
    return {n.removesuffix(suffix): _number(counts.columns[n].sum()) for n in names}


def _mean_sums(values: Float64, missing: Bool, strata: tuple[str, ...]) -> Mapping[str, Number]:
    """Sum and number of the defined values, `/<tissue>` apart where means are taken there."""
    names, sums = np.array(strata), dict[str, Number]()
    for name in sorted(set(strata)):
        inside = (names == name) & ~missing
        suffix = f"/{name}" if name else ""
        sums["sum" + suffix] = float(values[inside].sum())
        sums["n" + suffix] = int(inside.sum())
    return sums


def _number(value: float) -> Number:
    return int(value) if float(value).is_integer() else float(value)
