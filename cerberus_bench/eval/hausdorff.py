"""Object Hausdorff distance of the GlaS contest, on full pixel sets.

Sirinukunwattana et al., Gland segmentation in colon histology images: the GlaS challenge contest,
2017, section 4.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cerberus_bench.eval import kernel
from cerberus_bench.eval.counts import Counts, ratio
from cerberus_bench.eval.glas import GlasConvention, counted_predictions, glas_empty, partners
from cerberus_bench.eval.overlap import Bool, Float64, Int64, Overlap, overlap
from cerberus_bench.eval.tabulate import native

if TYPE_CHECKING:
    from scipy.spatial import KDTree

NEAREST, NOT_COUNTED = -1, -2
"""What the kernel takes in the place of a partner."""


@dataclass(frozen=True, slots=True)
class HausdorffCounts(Counts):
    """Sums behind the object Hausdorff distance over images with objects on both sides."""

    truth_sum: float = 0.0
    """Sum over truth objects of area times distance to their partner."""
    truth_area: int = 0
    """px of these truth objects."""
    prediction_sum: float = 0.0
    prediction_area: int = 0
    n_one_empty: int = 0
    """Images with objects on one side only, where the distance is infinite."""

    @property
    def finite(self) -> float:
        """The distance over images with objects on both sides; NaN without any."""
        truth = ratio(self.truth_sum, self.truth_area)
        return 0.5 * (truth + ratio(self.prediction_sum, self.prediction_area))

    @property
    def object_hausdorff(self) -> float:
        """The distance, infinite if it is so in any image; NaN where all are empty."""
        return float("inf") if self.n_one_empty else self.finite


def object_hausdorff(
    truth: ArrayLike,
    prediction: ArrayLike,
    mpp: float | None = None,
    *,
    convention: GlasConvention = "exact",
) -> float:
    """Object Hausdorff distance of one image, in px, or in um with `mpp`.

    Each object is compared with the object of the other side it overlaps most or, without any
    overlap, with the one at the smallest Hausdorff distance; distances are weighted by area.

    Args:
        truth: (H, W) integer label map.
        prediction: (H, W) integer label map.
        mpp: microns per pixel.
        convention: what two empty maps score: NaN (exact) or 0 (glas).

    Returns:
        The distance; inf where only one side is empty.

    Raises:
        DataError: see `overlap`; or the convention is not known.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    table = overlap(truth, prediction)
    if glas_empty(table, convention):
        return 0.0
    distance = hausdorff_counts(truth, prediction, table).object_hausdorff
    return distance if mpp is None else distance * mpp


def hausdorff_counts(
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    table: Overlap,
    *,
    ignore: Bool | None = None,
) -> HausdorffCounts:
    """Area-weighted distances in px of one image.

    Args:
        truth: (H, W) label map.
        prediction: (H, W) label map.
        table: their table, made with the same `ignore`.
        ignore: (H, W) True where pixels count for neither side.
    """
    counted = counted_predictions(table)
    if not (table.n_truth and counted.any()):
        return HausdorffCounts(n_one_empty=int(table.n_truth > 0 or bool(counted.any())))
    if ignore is not None:
        truth, prediction = np.where(ignore, 0, truth), np.where(ignore, 0, prediction)
    measure = distances_compiled if kernel.USED else distances_numpy
    truth_distance, prediction_distance = measure(truth, prediction, table, counted)
    areas = table.prediction_areas[counted]
    return HausdorffCounts(
        float((table.truth_areas * truth_distance).sum()),
        int(table.truth_areas.sum()),
        float((areas * prediction_distance).sum()),
        int(areas.sum()),
    )


def distances_compiled(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], table: Overlap, counted: Bool
) -> tuple[Float64, Float64]:
    """Distance in px of each truth object and each counted prediction to its partner, compiled.

    Args:
        truth: (H, W) label map without ignored pixels.
        prediction: (H, W) label map.
        table: their table, with an object on both sides that counts.
        counted: (n_prediction,) predictions that count.
    """
    truth_partner = np.full(table.n_truth, NEAREST, np.int64)
    rows = partners(table, "truth")
    truth_partner[table.pair_truth[rows]] = table.pair_prediction[rows]
    prediction_partner = np.where(counted, NEAREST, NOT_COUNTED)
    rows = partners(table, "prediction")
    prediction_partner[table.pair_prediction[rows]] = table.pair_truth[rows]
    squared = kernel.compiled.hausdorff(
        native(truth),
        native(prediction),
        np.ascontiguousarray(table.truth_ids),
        truth_partner,
        np.ascontiguousarray(table.prediction_ids),
        prediction_partner,
    )
    of_truth, of_prediction = (np.sqrt(np.frombuffer(values, np.int64)) for values in squared)
    return of_truth, of_prediction[counted]


def distances_numpy(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], table: Overlap, counted: Bool
) -> tuple[Float64, Float64]:
    """The same by k-d trees."""
    distances = _Distances((_Side(truth, table.truth_ids), _Side(prediction, table.prediction_ids)))
    rows = np.flatnonzero(counted)
    return distances.of_truth(table, rows), distances.of_predictions(table, rows)


class _Side:
    """The objects of one map, cut out by their bounding boxes when asked for."""

    def __init__(self, labels: NDArray[np.integer], ids: Int64) -> None:
        from scipy.ndimage import find_objects

        self.numbers = _number(labels, ids)
        self.boxes = find_objects(self.numbers, len(ids))
        self.extents = np.array(
            [(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in self.boxes]
        ).reshape(-1, 4)
        self._trees: dict[int, KDTree] = {}

    def edge_tree(self, i: int) -> "KDTree":
        """The pixels of object i with a 4-neighbour outside it, searchable."""
        from scipy.spatial import KDTree

        if i not in self._trees:
            inside = np.pad(self.numbers[self.boxes[i]] == i + 1, 1)
            inner = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
            self._trees[i] = KDTree(self.pixels(i, inside[1:-1, 1:-1] & ~inner))
        return self._trees[i]

    def pixels(self, i: int, where: Bool) -> NDArray[np.intp]:
        """(n, 2) y, x of the pixels of the map that are marked in the box of object i."""
        found: NDArray[np.intp] = np.argwhere(where) + self.extents[i, ::2]
        return found


def _number(labels: NDArray[np.integer], ids: Int64) -> NDArray[np.int32]:
    """The map with objects numbered 1, 2, ... in order of id."""
    if ids[-1] < labels.size:
        table = np.zeros(ids[-1] + 1, np.int32)
        table[ids] = np.arange(1, len(ids) + 1)
        # Ids that are not in the table (left out by the ignored region) may exceed its end.
        return table[np.where(labels <= ids[-1], labels, 0)]
    place = np.searchsorted(ids, labels.astype(np.int64))
    place[place == len(ids)] = 0
    return np.where(ids[place] == labels, place + 1, 0).astype(np.int32)


class _Distances:
    """Hausdorff distances between truth objects and predictions, each computed once."""

    def __init__(self, sides: tuple[_Side, _Side]) -> None:
        self._truth, self._prediction = sides
        self._known: dict[tuple[int, int], float] = {}

    def of_truth(self, table: Overlap, counted: NDArray[np.intp]) -> NDArray[np.float64]:
        """Distance of each truth object to its partner."""
        rows = partners(table, "truth")
        overlapping = _lookup(table.pair_truth[rows], table.pair_prediction[rows])
        return np.array(
            [
                self._pair(t, overlapping[t])
                if t in overlapping
                else self._nearest([(t, int(p)) for p in counted])
                for t in range(table.n_truth)
            ]
        )

    def of_predictions(self, table: Overlap, counted: NDArray[np.intp]) -> NDArray[np.float64]:
        """Distance of each counted prediction to its partner."""
        rows = partners(table, "prediction")
        overlapping = _lookup(table.pair_prediction[rows], table.pair_truth[rows])
        return np.array(
            [
                self._pair(overlapping[p], p)
                if p in overlapping
                else self._nearest([(t, p) for t in range(table.n_truth)])
                for p in map(int, counted)
            ]
        )

    def _nearest(self, pairs: list[tuple[int, int]]) -> float:
        """The smallest distance of the pairs.

        Two sets are never closer than their bounding boxes differ at any of the four sides, so
        pairs are tried by that bound until it exceeds the best distance found.
        """
        t, p = np.array(pairs).T
        bounds = np.abs(self._truth.extents[t] - self._prediction.extents[p]).max(axis=1)
        best = float("inf")
        for row in np.argsort(bounds, kind="stable"):
            if bounds[row] >= best:
                break
            best = min(best, self._pair(*pairs[row]))
        return best

    def _pair(self, t: int, p: int) -> float:
        if (t, p) not in self._known:
            self._known[t, p] = max(
                _directed(self._truth, t, self._prediction, p),
                _directed(self._prediction, p, self._truth, t),
            )
        return self._known[t, p]


def _directed(here: _Side, i: int, there: _Side, j: int) -> float:
    """Largest distance from a pixel of object i to the nearest pixel of object j.

    Pixels shared by both are at distance 0. From any other pixel the nearest of j is on the edge
    of j: from an inner one a step towards the pixel stays in j and is closer. The farthest pixel
    of i, however, may lie inside it, so all of i are asked.
    """
    box = here.boxes[i]
    outside = (here.numbers[box] == i + 1) & (there.numbers[box] != j + 1)
    if not outside.any():
        return 0.0
    distance, _ = there.edge_tree(j).query(here.pixels(i, outside))
    return float(np.max(distance))


def _lookup(keys: Int64, values: Int64) -> Mapping[int, int]:
    return dict(zip(keys.tolist(), values.tolist(), strict=True))
