"""Published figures, to stand beside measured ones: always marked, never ranked with them.

A claim belongs to one task on one split of one dataset, and keeps its own convention: figures
that were counted in another way are shown in another group, and none is set against a measured
number. `claims.csv` names a source for each figure; `confidence` is primary where the authors' own
page was read, secondary where a text that quotes them was, derived where it was calculated.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Claim:
    """One published figure."""

    task: str
    dataset: str
    splits: tuple[str, ...]
    """Names of the same part of the dataset: official:testB."""
    model: str
    year: int
    metric: str
    class_name: str | None
    """As the source calls it."""
    value: float
    unit: str | None
    """px of the source image for lengths; None for ratios."""
    convention: str
    source: str
    confidence: str
    note: str


def claims_on(dataset: str, split: str, task: str) -> list[Claim]:
    """What was published on one split of one dataset, in the order of the file."""
    return [
        claim
        for claim in all_claims()
        if (claim.dataset, claim.task) == (dataset, task) and split in claim.splits
    ]


@cache
def all_claims() -> tuple[Claim, ...]:
    """Every claim of `claims.csv`."""
    text = files("cerberus_bench.leaderboard").joinpath("claims.csv").read_text(encoding="utf-8")
    return tuple(_claim(row) for row in csv.DictReader(text.splitlines()))


def _claim(row: dict[str, str]) -> Claim:
    return Claim(
        row["task"],
        row["dataset"],
        tuple(row["split"].split()),
        row["model"],
        int(row["year"]),
        row["metric"],
        row["class"] or None,
        float(row["value"]),
        row["unit"] or None,
        row["convention"],
        row["source"],
        row["confidence"],
        row["note"],
    )
