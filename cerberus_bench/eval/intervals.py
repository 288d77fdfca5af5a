"""Bootstrap over groups: percentile intervals, and differences on the same resamples.

Patients (or slides, or source images) are drawn with replacement, and counts are pooled anew in
each resample: the interval of a PQ is one of PQs of resampled sets. Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapters 13 and 16.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cerberus_bench.eval.overlap import Float64
from cerberus_bench.schema.errors import DataError

SEED = 1
N_RESAMPLES = 2000
LEVEL = 0.95
FEW_GROUPS = 10
"""Intervals over fewer groups are marked: they are too short on average."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and how to form it anew from resampled groups."""

    value: float
    """NaN where undefined."""
    resample: Callable[[Float64], Float64]
    """(B, n_groups) how often each group is drawn -> (B,) values."""


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second, on the same images and resamples."""

    value: float
    low: float | None
    high: float | None
    p: float | None
    """Two-sided bootstrap p of no difference; None with the interval."""
    n_groups: int
    n_resamples: int


def draw(n_groups: int, n_resamples: int = N_RESAMPLES, seed: int = SEED) -> Float64:
    """(n_resamples, n_groups) how often each group is drawn; the same for the same arguments."""
    drawn = np.random.default_rng(seed).integers(0, n_groups, (n_resamples, n_groups))
    drawn += n_groups * np.arange(n_resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n_groups)
    return counts.reshape(n_resamples, n_groups).astype(np.float64)


def interval(values: Float64) -> tuple[float | None, float | None]:
    """The 95 % percentile interval of resampled values; undefined ones are left out."""
    defined = values[~np.isnan(values)]
    if defined.size == 0:
        return None, None
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


def interval_of(estimate: Estimate, draws: Float64) -> tuple[float | None, float | None]:
    """The interval of an estimate; None with a single group, which says nothing about spread."""
    if draws.shape[1] < 2 or np.isnan(estimate.value):
        return None, None
    return interval(estimate.resample(draws))


def paired_difference(first: Estimate, second: Estimate, draws: Float64) -> Difference:
    """First minus second with its interval and two-sided p, both on the same draws.

    p is twice the smaller share of resampled differences on either side of 0, each count raised
    by one so that it is never 0 (Davison and Hinkley, Bootstrap Methods, 1997, section 4.2).

    Raises:
        DataError: either value is undefined.
    """
    value = first.value - second.value
    if np.isnan(value):
        raise DataError("no difference: one of the two values is undefined")
    n_resamples, n_groups = draws.shape
    if n_groups < 2:
        return Difference(value, None, None, None, n_groups, n_resamples)
    differences = first.resample(draws) - second.resample(draws)
    differences = differences[~np.isnan(differences)]
    if differences.size == 0:
        return Difference(value, None, None, None, n_groups, n_resamples)
    rarer = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    p = min(1.0, 2 * (rarer + 1) / (len(differences) + 1))
    return Difference(value, *interval(differences), p, n_groups, n_resamples)
