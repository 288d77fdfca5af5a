"""Scores of classified patches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from cerberus_bench.eval.overlap import Float64, Int64
from cerberus_bench.schema.errors import DataError

CALIBRATION_BINS = 15
"""Equal bins of confidence; Guo et al., On calibration of modern neural networks, 2017."""


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """The confusion matrix, from which all scores of hard decisions follow. `+` pools."""

    table: Int64
    """(k, k) number of patches of true class (row) and predicted class (column)."""

    def __add__(self, other: "Confusion") -> "Confusion":
        """The counts of both together."""
        return Confusion(self.table + other.table)

    @property
    def accuracy(self) -> float:
        """Share of patches that are right; NaN without any."""
        total = self.table.sum()
        return float(np.trace(self.table) / total) if total else float("nan")

    @property
    def f1(self) -> Float64:
        """(k,) F1 of each class; NaN where it occurs neither in truth nor in prediction."""
        return _divide(2 * np.diag(self.table), self.table.sum(axis=0) + self.table.sum(axis=1))

    @property
    def recall(self) -> Float64:
        """(k,) recall of each class; NaN where the truth has none."""
        return _divide(np.diag(self.table), self.table.sum(axis=1))

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that occur in truth or prediction; NaN without any."""
        return _mean(self.f1)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that occur in the truth; NaN without any."""
        return _mean(self.recall)


def confusion(truth: ArrayLike, predicted: ArrayLike, n_classes: int) -> Confusion:
    """Count patches by true and predicted class.

    Args:
        truth: (n,) zero-based classes.
        predicted: (n,) zero-based classes.
        n_classes: number of classes.

    Raises:
        DataError: lengths differ or a class is out of range.
    """
    from sklearn.metrics import confusion_matrix

    true, pred = _classes(truth, n_classes), _classes(predicted, n_classes)
    if len(true) != len(pred):
        raise DataError(f"{len(true)} true classes but {len(pred)} predicted ones")
    if len(true) == 0:
        return Confusion(np.zeros((n_classes, n_classes), np.int64))
    table = confusion_matrix(true, pred, labels=np.arange(n_classes))
    return Confusion(table.astype(np.int64))


def auroc(truth: ArrayLike, probabilities: ArrayLike) -> Float64:
    """(k,) area under the ROC curve of each class against the rest; NaN where not both occur.

    Args:
        truth: (n,) zero-based classes.
        probabilities: (n, k).

    Raises:
        DataError: the shapes do not fit.
    """
    from sklearn.metrics import roc_auc_score

    true, table = _with_probabilities(truth, probabilities)
    is_class = true[:, None] == np.arange(table.shape[1])
    return np.array(
        [
            roc_auc_score(positive, score) if 0 < positive.sum() < len(true) else np.nan
            for positive, score in zip(is_class.T, table.T, strict=True)
        ]
    )


def average_precision(truth: ArrayLike, probabilities: ArrayLike) -> Float64:
    """(k,) average precision of each class against the rest; NaN where the truth has none.

    Arguments as in `auroc`.
    """
    from sklearn.metrics import average_precision_score

    true, table = _with_probabilities(truth, probabilities)
    is_class = true[:, None] == np.arange(table.shape[1])
    return np.array(
        [
            average_precision_score(positive, score) if positive.any() else np.nan
            for positive, score in zip(is_class.T, table.T, strict=True)
        ]
    )


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Sums over bins of confidence behind the expected calibration error. `+` pools."""

    bins: Float64
    """(CALIBRATION_BINS, 3) patches, sum of confidence, patches that are right."""

    def __add__(self, other: "Calibration") -> "Calibration":
        """The sums of both together."""
        return Calibration(self.bins + other.bins)

    @property
    def error(self) -> float:
        """Expected calibration error in [0, 1]; NaN without patches."""
        number, confidence, right = self.bins.T
        total = number.sum()
        return float(np.abs(confidence - right).sum() / total) if total else float("nan")


def calibration(truth: ArrayLike, probabilities: ArrayLike) -> Calibration:
    """Sort patches into bins of their largest probability. Arguments as in `auroc`."""
    true, table = _with_probabilities(truth, probabilities)
    confidence, predicted = table.max(axis=1), table.argmax(axis=1)
    place = np.clip(np.ceil(confidence * CALIBRATION_BINS) - 1, 0, CALIBRATION_BINS - 1)
    place = place.astype(np.int64)
    sums = [
        np.bincount(place, weights, CALIBRATION_BINS)
        for weights in (np.ones(len(true)), confidence, (predicted == true).astype(np.float64))
    ]
    return Calibration(np.stack(sums, axis=1))


def _with_probabilities(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Int64, Float64]:
    table = np.asarray(probabilities, np.float64)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise DataError(f"probabilities have shape {table.shape}; expected finite (n, k)")
    true = _classes(truth, table.shape[1])
    if len(true) != len(table):
        raise DataError(f"{len(true)} true classes but probabilities of {len(table)} patches")
    return true, table


def _classes(classes: ArrayLike, n_classes: int) -> Int64:
    array = np.asarray(classes)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"classes are {array.dtype} {array.shape}; expected integers of shape (n,)")
    if array.min() < 0 or array.max() >= n_classes:
        raise DataError(
            f"classes go from {array.min()} to {array.max()}; expected 0 to {n_classes - 1}"
        )
    return array.astype(np.int64)


def _divide(numerator: Int64, denominator: Int64) -> Float64:
    undefined = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=undefined, where=denominator > 0)
    return undefined


def _mean(values: Float64) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
