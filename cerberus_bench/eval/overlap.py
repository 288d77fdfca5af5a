"""The contingency table of two label maps, from which every overlap score is computed.

One linear pass over the pixels counts how often each (truth id, prediction id) occurs. What is
left has about as many rows as there are overlapping pairs, so that Dice, AJI, AJI+, PQ, F1 and
the object scores of GlaS cost microseconds once it is there.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cerberus_bench.schema.errors import DataError

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

ID_LIMIT = 2**32
"""Ids stay below this, so that a pair of them packs into one 64-bit key."""


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
    if truth.shape != prediction.shape:
        raise DataError(
            f"truth is {truth.shape}, prediction {prediction.shape}. Both must be on the same"
            " pixel grid: rescale the prediction to the shape of the truth (nearest neighbour)."
        )
    if split_disconnected:
        truth, prediction = _split(truth, "truth"), _split(prediction, "prediction")
    table = _tabulate(truth, prediction, _as_mask(ignore, truth.shape))
    if clear_border:
        table = table.select(
            ~np.isin(table.truth_ids, _border_ids(truth, clear_border)),
            ~np.isin(table.prediction_ids, _border_ids(prediction, clear_border)),
        )
    return table


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
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            f"{name} is {array.dtype}; a label map holds integer ids."
            " Convert it with .astype(np.int32) if its values are whole numbers."
        )
    return array


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

    if labels.size:
        _checked_ids(np.array([labels.min(), labels.max()]), name)
    return np.asarray(label(labels, background=0, connectivity=2))  # type: ignore[no-untyped-call]


def _border_ids(labels: NDArray[np.integer], width: int) -> NDArray[np.integer]:
    strips = (labels[:width], labels[-width:], labels[:, :width], labels[:, -width:])
    return np.unique(np.concatenate([strip.ravel() for strip in strips]))


def _tabulate(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], ignore: Bool | None
) -> Overlap:
    height, width = truth.shape
    if ignore is None:
        flat_truth, flat_prediction = _ravel(truth, prediction)
        rows = _count_pairs(flat_truth, flat_prediction)
        ignored = None
    else:
        rows = _count_pairs(truth[~ignore], prediction[~ignore])
        ignored = prediction[ignore]
    truth_row, prediction_row, count = rows
    truth_ids, truth_areas, truth_index = _areas(truth_row, count)
    prediction_ids, prediction_areas, prediction_index = _areas(prediction_row, count)
    both = (truth_row > 0) & (prediction_row > 0)
    return Overlap(
        truth_ids,
        truth_areas,
        prediction_ids,
        prediction_areas,
        truth_index[both],
        prediction_index[both],
        count[both],
        _void(prediction_ids, prediction_areas, ignored),
        (height, width),
    )


def _ravel(
    truth: NDArray[np.integer], prediction: NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Both maps as 1-D arrays in one order; column by column where that saves two copies."""
    if truth.flags.f_contiguous and prediction.flags.f_contiguous:
        truth, prediction = truth.T, prediction.T
    return truth.ravel(), prediction.ravel()


def _count_pairs(
    truth: NDArray[np.integer], prediction: NDArray[np.integer]
) -> tuple[Int64, Int64, Int64]:
    """Distinct (truth id, prediction id) and how often each occurs, in (t, p) order.

    Objects are runs of equal pixels, so the pass only looks for changes; ids are checked, packed
    and sorted at the starts of runs, some percent of the pixels. Both-background is left out.
    """
    if truth.size == 0:
        return (np.empty(0, np.int64),) * 3
    change = truth[1:] != truth[:-1]
    change |= prediction[1:] != prediction[:-1]
    starts = np.concatenate([[0], np.flatnonzero(change) + 1])
    lengths = np.diff(starts, append=truth.size)
    key = _checked_ids(truth[starts], "truth") << np.uint64(32)
    key |= _checked_ids(prediction[starts], "prediction")
    foreground = key > 0
    return _sum_by_key(key[foreground], lengths[foreground])


def _checked_ids(ids: NDArray[np.integer], name: str) -> NDArray[np.uint64]:
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= ID_LIMIT:
        raise DataError(
            f"{name} has id {low if low < 0 else high}; ids are whole numbers from 0 to 2**32 - 1,"
            " 0 for background. Number the objects anew, for example with"
            " skimage.segmentation.relabel_sequential."
        )
    return ids.astype(np.uint64)


def _sum_by_key(key: NDArray[np.uint64], count: Int64) -> tuple[Int64, Int64, Int64]:
    if key.size == 0:
        return (np.empty(0, np.int64),) * 3
    order = np.argsort(key)
    key = key[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    distinct = key[first]
    return (
        (distinct >> np.uint64(32)).astype(np.int64),
        (distinct & np.uint64(ID_LIMIT - 1)).astype(np.int64),
        np.add.reduceat(count[order], first),
    )


def _areas(row_ids: Int64, count: Int64) -> tuple[Int64, Int64, Int64]:
    """Foreground ids, their areas, and for each row the index of its id (-1 for background)."""
    ids, index = np.unique(row_ids, return_inverse=True)
    # Pixel counts stay far below 2**53, where float64 weights are still exact.
    areas = np.bincount(index, weights=count, minlength=len(ids)).astype(np.int64)
    background = int(len(ids) > 0 and ids[0] == 0)
    return ids[background:], areas[background:], index - background


def _void(ids: Int64, areas: Int64, ignored: NDArray[np.integer] | None) -> Bool:
    if ignored is None or ignored.size == 0:
        return np.zeros(len(ids), np.bool_)
    values, counts = np.unique(ignored, return_counts=True)
    inside = np.zeros(len(ids), np.int64)
    known = np.isin(values, ids)
    inside[np.searchsorted(ids, values[known])] = counts[known]
    return inside > areas
