"""The contingency table of two label maps, from which every overlap score is computed.

One linear pass over the pixels counts how often each (truth id, prediction id) occurs. What is
left has about as many rows as there are overlapping pairs, so that Dice, AJI, AJI+, PQ, F1 and
the object scores of GlaS cost microseconds once it is there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cerberus_bench.eval.tabulate import (
    CLASS_LIMIT,
    Columns,
    check_ids,
    tabulate,
    tabulate_classes,
)
from cerberus_bench.schema.errors import DataError

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """How two label maps overlap. All arrays are int64 unless stated; ids ascend, 0 is left out."""

    truth_ids: Int64
    """(n_truth,) ids of the truth objects."""
    truth_areas: Int64
    """(n_truth,) px."""
    prediction_ids: Int64
    """(n_prediction,) ids of the predicted objects."""
    prediction_areas: Int64
    """(n_prediction,) px."""
    pair_truth: Int64
    """(n_pairs,) index into `truth_ids` of each overlapping pair; pairs are in (t, p) order."""
    pair_prediction: Int64
    """(n_pairs,) index into `prediction_ids`."""
    intersection: Int64
    """(n_pairs,) px, at least 1."""
    void: Bool
    """(n_prediction,) predictions more than half inside the ignored region: no false positives."""
    shape: tuple[int, int]
    """Height and width of the maps, px."""

    @property
    def n_truth(self) -> int:
        """Number of truth objects."""
        return len(self.truth_ids)

    @property
    def n_prediction(self) -> int:
        """Number of predicted objects."""
        return len(self.prediction_ids)

    @property
    def is_empty(self) -> bool:
        """Whether there is no object on either side."""
        return not (self.n_truth or self.n_prediction)

    @property
    def union(self) -> Int64:
        """(n_pairs,) px in either object of each pair."""
        areas = self.truth_areas[self.pair_truth] + self.prediction_areas[self.pair_prediction]
        return areas - self.intersection

    @property
    def iou(self) -> Float64:
        """(n_pairs,) intersection over union in (0, 1]."""
        return self.intersection / self.union

    def select(self, truth: Bool, prediction: Bool) -> "Overlap":
        """The table of some of the objects, for example of one class.

        Args:
            truth: (n_truth,) True for objects to keep.
            prediction: (n_prediction,) the same for predictions.
        """
        kept = truth[self.pair_truth] & prediction[self.pair_prediction]
        new_truth, new_prediction = np.cumsum(truth) - 1, np.cumsum(prediction) - 1
        return Overlap(
            self.truth_ids[truth],
            self.truth_areas[truth],
            self.prediction_ids[prediction],
            self.prediction_areas[prediction],
            new_truth[self.pair_truth[kept]],
            new_prediction[self.pair_prediction[kept]],
            self.intersection[kept],
            self.void[prediction],
            self.shape,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ClassOverlap:
    """How two label maps overlap, classes ignored and classes told apart."""

    ids: Overlap
    by_class: Overlap
    """Its objects are what an id has of one class, in order of (id, class): ids may repeat."""
    truth_class: Int64
    """(n_truth,) class of each truth object of `by_class`."""
    prediction_class: Int64
    """(n_prediction,) class of each predicted object of `by_class`."""


def overlap(
    truth: ArrayLike,
    prediction: ArrayLike,
    *,
    ignore: ArrayLike | None = None,
    split_disconnected: bool = False,
    clear_border: int = 0,
) -> Overlap:
    """Count the pixels that each truth object shares with each predicted object.

    Args:
        truth: (H, W) label map of any integer dtype and memory order; 0 is background, an id is
            one object, ids need not be contiguous. A boolean mask is one object.
        prediction: (H, W) label map of the same shape.
        ignore: (H, W) boolean, True where pixels count for neither side. A prediction more than
            half inside is never a false positive (Kirillov et al., Panoptic Segmentation, 2019,
            section 4.2).
        split_disconnected: take each 8-connected part of an id as an object of its own. By
            default an id is one object, connected or not.
        clear_border: leave out, on either side, objects with a pixel within this many pixels of
            the edge of the image; 0 keeps all.

    Raises:
        DataError: a map is not 2-D, not of integers, has negative ids or ids of 2**32 and more,
            or the shapes differ.
    """
    truth, prediction = _as_map(truth, "truth"), _as_map(prediction, "prediction")
    _check_grids(truth, prediction)
    if split_disconnected:
        truth, prediction = _split(truth, "truth"), _split(prediction, "prediction")
    table = _tabulate(truth, prediction, _as_mask(ignore, truth.shape))
    if clear_border:
        table = table.select(
            ~np.isin(table.truth_ids, _border_ids(truth, clear_border)),
            ~np.isin(table.prediction_ids, _border_ids(prediction, clear_border)),
        )
    return table


def class_overlap(
    truth: ArrayLike,
    truth_class: ArrayLike,
    prediction: ArrayLike,
    prediction_class: ArrayLike,
    n_classes: int,
) -> ClassOverlap:
    """Count shared pixels of objects, and of the part of each class of objects, in one pass.

    Args:
        truth: (H, W) label map, as in `overlap`.
        truth_class: (H, W) class of each pixel, 1..n_classes; 0 is none.
        prediction: (H, W) label map.
        prediction_class: (H, W) class of each pixel.
        n_classes: number of classes, less than 2**16.

    Raises:
        DataError: as `overlap`, or a class is not in 0..n_classes.
    """
    if not 0 < n_classes < CLASS_LIMIT:
        raise DataError(f"n_classes is {n_classes}; it must be from 1 to {CLASS_LIMIT - 1}")
    maps = [
        _as_map(labels, name)
        for labels, name in (
            (truth, "truth"),
            (truth_class, "truth_classes"),
            (prediction, "prediction"),
            (prediction_class, "prediction_classes"),
        )
    ]
    for other in maps[1:]:
        _check_grids(maps[0], other)
    height, width = maps[0].shape
    ids, by_class, *classes = tabulate_classes(maps[0], maps[1], maps[2], maps[3], n_classes)
    shape = height, width
    return ClassOverlap(_from_columns(ids, shape), _from_columns(by_class, shape), *classes)


def as_overlap(truth: ArrayLike | Overlap, prediction: ArrayLike | None) -> Overlap:
    """The table itself, or the table of two maps: what every score accepts.

    Raises:
        DataError: one map without the other, or a table and a map.
    """
    if isinstance(truth, Overlap):
        if prediction is not None:
            raise DataError(
                "give either one overlap table or two label maps, not a table and a map"
            )
        return truth
    if prediction is None:
        raise DataError(
            "give the prediction too, or the table that overlap(truth, prediction) made"
        )
    return overlap(truth, prediction)


def _as_map(labels: ArrayLike, name: str) -> NDArray[np.integer]:
    array = np.asarray(labels)
    if array.ndim != 2:
        raise DataError(f"{name} has shape {array.shape}; expected one (H, W) label map")
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype.kind not in "iu":
        raise DataError(
            f"{name} is {array.dtype}; a label map holds integer ids."
            " Convert it with .astype(np.int32) if its values are whole numbers."
        )
    return array


def _check_grids(truth: NDArray[np.integer], prediction: NDArray[np.integer]) -> None:
    if truth.shape != prediction.shape:
        raise DataError(
            f"truth is {truth.shape}, prediction {prediction.shape}. Both must be on the same"
            " pixel grid: rescale the prediction to the shape of the truth (nearest neighbour)."
        )


def _as_mask(ignore: ArrayLike | None, shape: tuple[int, ...]) -> Bool | None:
    if ignore is None:
        return None
    mask = np.asarray(ignore)
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise DataError(
            f"the ignore mask is {mask.dtype} {mask.shape}; expected bool {shape},"
            " True where pixels do not count"
        )
    return mask


def _split(labels: NDArray[np.integer], name: str) -> NDArray[np.integer]:
    from skimage.measure import label

    check_ids(labels, name)
    return np.asarray(label(labels, background=0, connectivity=2))  # type: ignore[no-untyped-call]


def _border_ids(labels: NDArray[np.integer], width: int) -> NDArray[np.integer]:
    strips = (labels[:width], labels[-width:], labels[:, :width], labels[:, -width:])
    return np.unique(np.concatenate([strip.ravel() for strip in strips]))


def _tabulate(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], ignore: Bool | None
) -> Overlap:
    height, width = truth.shape
    ignored = None
    if ignore is not None:
        ignored, kept = prediction[ignore], ~ignore
        truth, prediction = truth[kept][None], prediction[kept][None]
    return _from_columns(tabulate(truth, prediction), (height, width), ignored)


def _from_columns(
    columns: Columns, shape: tuple[int, int], ignored: NDArray[np.integer] | None = None
) -> Overlap:
    void = _void(columns.prediction_ids, columns.prediction_areas, ignored)
    return Overlap(*columns, void, shape)


def _void(ids: Int64, areas: Int64, ignored: NDArray[np.integer] | None) -> Bool:
    if ignored is None or ignored.size == 0:
        return np.zeros(len(ids), np.bool_)
    values, counts = np.unique(ignored, return_counts=True)
    inside = np.zeros(len(ids), np.int64)
    known = np.isin(values, ids)
    inside[np.searchsorted(ids, values[known])] = counts[known]
    return inside > areas
