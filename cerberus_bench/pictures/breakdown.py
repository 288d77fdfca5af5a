"""Where a model fails: one task taken apart by image, group, slice, size and class."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

HISTOGRAM_BINS = 20
SHOWN_GROUPS = 25
"""Groups that are listed, the worst first; the others are counted."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the images and the score on it."""

    name: str
    n_images: int
    n_objects: int
    value: float | None
    """Pooled over the part; None where undefined."""
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval over the groups of the part; None where they are too few."""
    n_groups: int = 1


@dataclass(frozen=True, slots=True)
class SizeBin:
    """Truth objects of a range of areas, and how many of them were found."""

    low_um2: float
    high_um2: float
    n_objects: int
    n_found: int

    @property
    def recall(self) -> float:
        """Share that was found; a bin is never empty."""
        return self.n_found / self.n_objects


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Patches of a range of confidence."""

    n_patches: int
    confidence: float
    """Mean of the largest probability."""
    right: float
    """Share that got its class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """What a report shows of one task beyond its scores."""

    task: str
    metric: str
    """The score of single images, parts and groups, as it is printed."""
    values: Sequence[float]
    """Of the images on which it is defined."""
    n_undefined: int
    groups: Sequence[Part]
    """The worst first."""
    slices: Mapping[str, Sequence[Part]] = field(default_factory=dict)
    """What they are cut by -> parts."""
    sizes: Sequence[SizeBin] = ()
    object_counts: Sequence[tuple[int, int]] = ()
    """(truth, predicted) of every image."""
    classes: Sequence[str] = ()
    confusion: Sequence[Sequence[int]] = ()
    """Rows are true classes, columns predicted ones; of matched objects, or of patches."""
    calibration: Sequence[CalibrationBin] = ()

    @property
    def histogram(self) -> list[int]:
        """Images in bins of the score from 0 to 1; 1 is in the last."""
        bins = [0] * HISTOGRAM_BINS
        for value in self.values:
            bins[min(max(int(value * HISTOGRAM_BINS), 0), HISTOGRAM_BINS - 1)] += 1
        return bins

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """25, 50 and 75 % of the values, by linear interpolation; there must be a value."""
        ordered = sorted(self.values)
        low, middle, high = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
        return low, middle, high

    @property
    def count_bias(self) -> float:
        """Objects predicted beyond those in the truth, as a share of the truth."""
        truth = sum(n for n, _ in self.object_counts)
        return sum(n for _, n in self.object_counts) / truth - 1 if truth else math.nan

    @property
    def count_error(self) -> float:
        """Mean over images of the absolute error of the count, objects."""
        return sum(abs(n - m) for n, m in self.object_counts) / len(self.object_counts)

    @property
    def count_limit(self) -> int:
        """End of both axes of the plot of counts: 1, 2 or 5 times a power of ten."""
        largest = max(max(pair) for pair in self.object_counts)
        ends = (step * int(10**power) for power in range(12) for step in (1, 2, 5))
        return next(end for end in ends if end >= largest)


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
