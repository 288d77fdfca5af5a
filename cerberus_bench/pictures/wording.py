"""How scores are called and written, in reports and on the leaderboard alike."""

from collections.abc import Iterable
from dataclasses import dataclass

from cerberus_bench.schema.labels import ONTOLOGY
from cerberus_bench.schema.report import Score

METRIC_NAMES = {
    "pq": "PQ",
    "dq": "DQ",
    "sq": "SQ",
    "mpq": "mPQ",
    "mpq_plus": "mPQ+",
    "bpq": "bPQ",
    "dice": "Dice",
    "aji": "AJI",
    "aji_plus": "AJI+",
    "f1": "F1",
    "f_d": "Detection F1",
    "f_c": "Detection F1 of class",
    "object_f1": "Object F1",
    "object_dice": "Object Dice",
    "object_hausdorff": "Object Hausdorff",
    "r2": "R²",
    "macro_f1": "Macro F1",
    "auroc": "AUROC",
    "froc": "FROC",
    "ap": "AP",
}
TASK_NAMES = {
    "nuclei": "Nuclei",
    "gland": "Glands",
    "lumen": "Lumina",
    "tissue": "Tissue",
    "signet_ring": "Signet ring cells",
}
AVERAGING_NAMES = {"pooled": "pooled", "image_mean": "mean of images"}
UNIT_NAMES = {"um": "µm", "px": "px"}
UNDEFINED = "undefined"
FEW_GROUPS = 10
"""Bootstrap intervals over fewer groups than this are marked (metrics note, section 4)."""


def metric_name(metric: str) -> str:
    """A metric as it is printed: PQ, AJI+, Object F1."""
    return METRIC_NAMES.get(metric) or metric.replace("_", " ").capitalize()


def task_name(task: str) -> str:
    """A task as it is printed."""
    return TASK_NAMES.get(task) or task.replace("_", " ").capitalize()


def class_name(task: str, node: str) -> str:
    """A class as the ontology calls it; a class that it does not know keeps its name."""
    known = ONTOLOGY.get(task, {}).get(node)
    return known.name if known else node


def value_text(value: float | None, unit: str | None = None) -> str:
    """Ratios with three decimals, lengths with one and their unit; undefined in words."""
    if value is None:
        return UNDEFINED
    if unit is None:
        return f"{value:.3f}"
    return f"{value:.1f} {UNIT_NAMES.get(unit, unit)}"


def interval_text(score: Score) -> str:
    """The interval as `0.61 to 0.68`; empty where there is none."""
    if score.low is None or score.high is None:
        return ""
    digits = 3 if score.unit is None else 1
    return f"{score.low:.{digits}f} to {score.high:.{digits}f}"


@dataclass(frozen=True, slots=True)
class Whisker:
    """A value and its interval as shares of an axis, each in [0, 1]."""

    low: float
    high: float
    value: float


def axis_of(scores: Iterable[Score]) -> tuple[float, float]:
    """An axis that holds all values and intervals, and 0 to 1 where the scores are ratios."""
    listed = list(scores)
    values = [v for s in listed for v in (s.value, s.low, s.high) if v is not None]
    ratio = any(score.unit is None for score in listed)
    top = max([1.0] if ratio else [*values, 1e-9])
    return min([0.0, *values]), max([top, *values])


def whisker(score: Score, axis: tuple[float, float]) -> Whisker | None:
    """Where a score lies on an axis; None where it is undefined."""
    if score.value is None:
        return None
    start, stop = axis

    def share(value: float | None) -> float:
        place = score.value if value is None else value
        return (place - start) / (stop - start) if place is not None else 0.0

    return Whisker(share(score.low), share(score.high), share(score.value))
