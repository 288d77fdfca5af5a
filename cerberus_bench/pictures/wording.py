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
    "f1_50_95": "F1 at IoU .5 to .95",
    "detection_f1": "Detection F1",
    "classification_f1": "Classification F1",
    "object_f1": "Object F1",
    "object_dice": "Object Dice",
    "object_hausdorff": "Object Hausdorff",
    "r2": "R² of counts",
    "macro_f1": "Macro F1",
    "auroc": "AUROC",
    "froc": "FROC",
    "coco_ap": "COCO AP",
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
PERCENT_METRICS = frozenset({"false_positive_score"})
"""Scores without unit that run to 100, not to 1."""
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


def value_text(score: Score) -> str:
    """Ratios with three decimals, others with one and their unit; undefined in words."""
    if score.value is None:
        return UNDEFINED
    unit = f" {UNIT_NAMES.get(score.unit, score.unit)}" if score.unit else ""
    return f"{score.value:.{_decimals(score)}f}{unit}"


def interval_text(score: Score) -> str:
    """The interval as `0.61 to 0.68`; empty where there is none."""
    if score.low is None or score.high is None:
        return ""
    return f"{score.low:.{_decimals(score)}f} to {score.high:.{_decimals(score)}f}"


def _decimals(score: Score) -> int:
    return 3 if score.unit is None and score.metric not in PERCENT_METRICS else 1


@dataclass(frozen=True, slots=True)
class Whisker:
    """A value and its interval as shares of an axis, each in [0, 1]."""

    low: float
    high: float
    value: float


def axis_end(score: Score, others: Iterable[Score]) -> float:
    """Where the axis of a score ends; it starts at 0.

    At 1, or at 100 for a score that runs so far; for a length, at the largest value among the
    scores of its unit.
    """
    if score.unit is None:
        return 100.0 if score.metric in PERCENT_METRICS else 1.0
    lengths = [v for s in others if s.unit == score.unit for v in (s.value, s.low, s.high)]
    return max([v for v in lengths if v is not None and v > 0], default=1.0)


def whisker(score: Score, end: float) -> Whisker | None:
    """Where a score lies on an axis from 0 to `end`, cut at its ends; None where undefined."""
    if score.value is None:
        return None
    low = score.value if score.low is None else score.low
    high = score.value if score.high is None else score.high
    return Whisker(*(min(max(v / end, 0.0), 1.0) for v in (low, high, score.value)))
