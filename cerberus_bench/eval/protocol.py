"""Which score for which task: the protocol, as one table.

A change of anything here that changes a number raises `PROTOCOL_VERSION`.

Objects match at IoU > .5 unless the metric says otherwise. An image without objects on either
side is undefined and left out of image means; with objects on one side only it scores 0, or an
infinite distance, which is counted apart. Pooled values come from counts summed over images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cerberus_bench.eval import formulas
from cerberus_bench.eval.classification import CALIBRATION_BINS
from cerberus_bench.eval.formulas import THRESHOLDS, Formula, at
from cerberus_bench.schema.report import Averaging

PROTOCOL_VERSION = 1

DETECTION_RADIUS_UM = 3.0
"""12 px at 40x (Graham et al., HoVer-Net, 2019)."""

SIGNET_RING_IOU = 0.3
"""Of the public re-implementation of DigestPath; the contest page names none."""

BOTH: tuple[Averaging, ...] = ("pooled", "image_mean")
POOLED: tuple[Averaging, ...] = ("pooled",)
IMAGE_MEAN: tuple[Averaging, ...] = ("image_mean",)


class Scope(StrEnum):
    """What a score is about."""

    ALL = "all objects"
    EACH_CLASS = "each class"
    CLASS_MEAN = "mean over classes"


@dataclass(frozen=True, slots=True)
class Definition:
    """One score: its formula, the counts it is made of, and how it is averaged."""

    metric: str
    formula: Formula
    columns: tuple[str, ...]
    """Names of the counts, without the class."""
    averaging: tuple[Averaging, ...] = BOTH
    scope: Scope = Scope.ALL
    convention: str = "exact"
    unit: str | None = None
    headline: bool = False
    """Whether the pooled value (the only one, where there is one) is a headline."""
    by_tissue: bool = False
    """Image means are taken in each tissue, then over tissues (PanNuke)."""
    low: float | None = 0.0
    """Smallest possible value; None where there is no bound."""
    high: float | None = 1.0
    shown: str = ""
    """Prefix of further counts to print with the score."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """One score that needs every score of every item and not only counts; always pooled."""

    metric: str
    scope: Scope = Scope.ALL
    convention: str = "exact"
    headline: bool = False
    low: float = 0.0
    high: float = 1.0


MATCHED = ("tp", "fp", "fn", "sum_iou")
F1 = ("tp", "fp", "fn")
F1_LEVELS = tuple(at(name, t) for t in THRESHOLDS for name in F1)
SIDES = ("truth", "prediction")
OBJECT_DICE = tuple(f"object_{kind}_{side}" for side in SIDES for kind in ("dice", "area"))
CENTROIDS = tuple(
    f"centroid_{name}" for name in ("tp", "fp_matched", "fn_matched", "fp_lone", "fn_lone")
)
COUNTS = ("images", "count_truth", "count_truth_squared", "count_error_squared")
CONFUSION = "confusion/"
"""`confusion/<true class>/<predicted class>`: the confusion matrix."""
BINS = tuple(f"{name}_{b}" for b in range(CALIBRATION_BINS) for name in ("confidence", "right"))


def _hausdorff_columns(unit: str) -> tuple[str, ...]:
    return tuple(
        name for side in SIDES for name in (f"hausdorff_{unit}_{side}", f"hausdorff_area_{side}")
    )


def _objects(*headlines: str) -> tuple[Definition, ...]:
    """What every task with instances is scored by."""
    table = (
        ("pq", formulas.pq, MATCHED),
        ("dq", formulas.f1, F1),
        ("sq", formulas.sq, MATCHED),
        ("dice", formulas.dice, ("dice_intersection", "dice_total")),
        ("aji", formulas.aji, ("aji_intersection", "aji_union")),
        ("aji_plus", formulas.aji_plus, ("aji_plus_intersection", "aji_plus_union")),
        ("f1", formulas.f1, F1),
        ("f1_50_95", formulas.f1_50_95, F1_LEVELS),
    )
    return tuple(Definition(*row, headline=row[0] in headlines) for row in table)


def _classes(*, headline: bool) -> tuple[Definition, ...]:
    """Panoptic quality of classes: mPQ+ and its parts."""
    return (
        Definition("mpq_plus", formulas.pq, MATCHED, POOLED, Scope.CLASS_MEAN, headline=headline),
        Definition("pq", formulas.pq, MATCHED, POOLED, Scope.EACH_CLASS),
    )


def _glas(*, headline: bool) -> tuple[Definition, ...]:
    columns = ("object_tp", "object_fp", "object_fn")
    return (
        Definition("object_f1", formulas.object_f1, columns, headline=headline),
        Definition("object_dice", formulas.object_dice, OBJECT_DICE, headline=headline),
    )


PROTOCOL: Mapping[str, tuple[Definition | Ranking, ...]] = {
    "nuclei": (
        *_objects("pq"),
        Definition(
            "detection_f1",
            formulas.detection_f1,
            ("detection_tp", "detection_fp", "detection_fn"),
        ),
        Definition(
            "bpq", formulas.pannuke_pq, MATCHED, IMAGE_MEAN, convention="pannuke", by_tissue=True
        ),
        *_classes(headline=True),
        Definition(
            "mpq",
            formulas.pannuke_pq,
            MATCHED,
            IMAGE_MEAN,
            Scope.CLASS_MEAN,
            convention="pannuke",
            by_tissue=True,
        ),
        Definition(
            "classification_f1", formulas.classification_f1, CENTROIDS, POOLED, Scope.EACH_CLASS
        ),
        Definition("r2", formulas.r2, COUNTS, POOLED, Scope.CLASS_MEAN, low=None),
        Definition("r2", formulas.r2, COUNTS, POOLED, Scope.EACH_CLASS, low=None),
    ),
    "gland": (
        *_glas(headline=True),
        Definition(
            "object_hausdorff",
            formulas.object_hausdorff_um,
            _hausdorff_columns("um"),
            unit="um",
            headline=True,
            high=None,
        ),
        Definition(
            "object_hausdorff",
            formulas.object_hausdorff_px,
            _hausdorff_columns("px"),
            unit="px",
            high=None,
        ),
        *_objects(),
        *_classes(headline=False),
    ),
    "lumen": (*_objects("pq", "dice"), *_glas(headline=False)),
    "tissue": (
        Definition("macro_f1", formulas.f1, F1, POOLED, Scope.CLASS_MEAN, headline=True),
        Definition("accuracy", formulas.accuracy, ("correct", "n_truth"), POOLED, shown=CONFUSION),
        Definition("balanced_accuracy", formulas.recall, ("tp", "fn"), POOLED, Scope.CLASS_MEAN),
        Definition("f1", formulas.f1, F1, POOLED, Scope.EACH_CLASS),
        Definition("calibration_error", formulas.calibration_error, (*BINS, "n_truth"), POOLED),
        Ranking("auroc", Scope.CLASS_MEAN),
        Ranking("auroc", Scope.EACH_CLASS),
        Ranking("average_precision", Scope.CLASS_MEAN),
        Ranking("average_precision", Scope.EACH_CLASS),
    ),
    "signet_ring": (
        Ranking("froc", headline=True),
        Definition("f1", formulas.f1, F1, POOLED, headline=True),
        Definition("recall", formulas.recall, ("tp", "fn"), POOLED),
        Definition(
            "false_positive_score",
            formulas.false_positive_score,
            ("negative_fp", "negative_images"),
            POOLED,
            high=100.0,
        ),
        Ranking("coco_ap"),
    ),
}
"""Task -> its scores."""


def suffix_of(class_name: str | None) -> str:
    """What the columns of a class end in; nothing for all objects."""
    return "" if class_name is None else f"/{class_name}"
