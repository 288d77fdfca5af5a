"""What counts objects share: they add up, and the ratio comes last."""

from dataclasses import fields
from typing import Self


class Counts:
    """Base of frozen dataclasses of sums. `a + b` pools two images, `Kind()` is the empty pool."""

    __slots__ = ()

    def __add__(self, other: Self) -> Self:
        """The counts of both together."""
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in names))


def ratio(numerator: float, denominator: float) -> float:
    """The quotient, NaN (undefined) where there is nothing to divide by."""
    return numerator / denominator if denominator else float("nan")
