"""Paired differences of models, from the counts of the images that both have seen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from cerberus_bench.eval.estimates import estimate, ranking_estimate
from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.eval.intervals import Estimate, draw, paired_difference
from cerberus_bench.eval.invariants import check_image_counts
from cerberus_bench.eval.overlap import Float64
from cerberus_bench.eval.protocol import PROTOCOL_VERSION, Ranking
from cerberus_bench.eval.scores import find
from cerberus_bench.leaderboard.columns import Column, score_in
from cerberus_bench.leaderboard.counts import counts_path, read_counts
from cerberus_bench.leaderboard.store import StoredResult
from cerberus_bench.schema.errors import DataError

TOLERANCE = 1e-6
"""How far a printed score may be from what its counts give, relative."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models in one column: first minus second, on the same resamples of groups."""

    column: Column
    first: str
    second: str
    """Labels of the models."""
    value: float
    low: float | None
    high: float | None
    p: float | None
    """Two-sided; None, with the interval, where there is one group only."""
    n_groups: int

    def swapped(self) -> "Pair":
        """The same difference the other way round: second minus first."""
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return replace(
            self, first=self.second, second=self.first, value=-self.value, low=low, high=high
        )

    def outcome(self, label: str) -> int:
        """1 where the model is better than the other, -1 where worse, 0 where neither is sure."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return 0
        first_wins = (self.low > 0) != self.column.lower_is_better
        return 1 if first_wins == (label == self.first) else -1


class Pairing:
    """The counts of results on one split of one dataset, and what follows from them."""

    def __init__(self, results: Sequence[StoredResult]) -> None:
        """Read the counts beside the results.

        Raises:
            DataError: a file of counts is corrupt, or not that of its result.
        """
        self._counts: dict[Path, dict[str, ImageCounts]] = {
            result.path: _read(result, path)
            for result in results
            if (path := counts_path(result.path)).exists()
        }
        self._resampled: dict[tuple[Column, Path], Estimate] = {}
        self._draws: dict[int, Float64] = {}

    def missing(self, results: Sequence[StoredResult]) -> str:
        """Why some of these results cannot be paired; empty where all can."""
        if any(result.data.protocol_version != PROTOCOL_VERSION for result in results):
            return f"only protocol {PROTOCOL_VERSION} can be computed anew by this version"
        alone = [r.record.model.name for r in results if r.path not in self._counts]
        return f"no per-image counts beside the result of {', '.join(alone)}" if alone else ""

    def pair(
        self, column: Column, one: str, first: StoredResult, two: str, second: StoredResult
    ) -> Pair | None:
        """Two models in one column; None where either has no value or no counts.

        Raises:
            DataError: counts do not give the score of their result, or the two saw other images.
        """
        return self.pair_means(column, one, [first], two, [second])

    def pair_means(
        self,
        column: Column,
        one: str,
        firsts: Sequence[StoredResult],
        two: str,
        seconds: Sequence[StoredResult],
    ) -> Pair | None:
        """The mean of some results against that of others, such as the seeds of two models.

        Returns:
            None where one of them has no value or no counts.

        Raises:
            DataError: as `pair`.
        """
        first, second = self._mean(column, firsts), self._mean(column, seconds)
        if first is None or second is None:
            return None
        mine = self._same_images(column, [*firsts, *seconds])
        found = paired_difference(first, second, self._draw(mine))
        return Pair(column, one, two, found.value, found.low, found.high, found.p, found.n_groups)

    def _mean(self, column: Column, results: Sequence[StoredResult]) -> Estimate | None:
        estimates = [self._estimate(column, result) for result in results]
        known = [estimate for estimate in estimates if estimate is not None]
        if len(known) < len(estimates):
            return None
        return Estimate(
            fmean(estimate.value for estimate in known),
            lambda draws: np.mean([estimate.resample(draws) for estimate in known], axis=0),
        )

    def _same_images(self, column: Column, results: Sequence[StoredResult]) -> ImageCounts:
        first, *others = results
        mine = self._counts[first.path][column.task]
        for result in others:
            other = self._counts[result.path][column.task]
            if (mine.sample_ids, mine.groups) != (other.sample_ids, other.groups):
                raise DataError(
                    f"{counts_path(first.path)} and {counts_path(result.path)} name the same data,"
                    f" but hold other {column.task} images or groups. One is wrong; evaluate again."
                )
        return mine

    def _estimate(self, column: Column, result: StoredResult) -> Estimate | None:
        """The score with its resamples, drawn once a model and not once a pair."""
        key = column, result.path
        score = score_in(column, result.record.report)
        if score is None or score.value is None or self.missing([result]):
            return None
        if key not in self._resampled:
            counts = self._counts[result.path].get(column.task)
            made = None if counts is None else _form(column, counts)
            if counts is None or made is None or not _same(made.value, score.value):
                raise DataError(
                    f"{counts_path(result.path)} does not give the {column.task} {column.metric} of"
                    f" {score.value} in {result.path.name}. They are of two runs; evaluate again."
                )
            resampled = made.resample(self._draw(counts))
            self._resampled[key] = Estimate(made.value, lambda _draws: resampled)
        return self._resampled[key]

    def _draw(self, counts: ImageCounts) -> Float64:
        n_groups = len(counts.group_names)
        if n_groups not in self._draws:
            self._draws[n_groups] = draw(n_groups)
        return self._draws[n_groups]


def _read(result: StoredResult, path: Path) -> dict[str, ImageCounts]:
    counts = read_counts(path)
    if result.data.protocol_version == PROTOCOL_VERSION:
        check_image_counts(result.record.report, counts, str(path))
    return counts


def _same(made: float, printed: float) -> bool:
    return math.isclose(made, printed, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _form(column: Column, counts: ImageCounts) -> Estimate | None:
    """The score from its counts; None where they are not of this score at all."""
    try:
        definition = find(
            column.task,
            column.metric,
            column.averaging,
            column.convention,
            column.class_name,
            column.unit,
        )
        if isinstance(definition, Ranking):
            return ranking_estimate(definition, counts, column.class_name)
        return estimate(definition, counts, column.averaging, column.class_name)
    except KeyError:
        return None
