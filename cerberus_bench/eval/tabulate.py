"""From pixels to a table: distinct pairs of ids and how often each occurs.

Twice, with identical results: by the compiled kernel (_kernel_scan.c says how), and by NumPy where
it is not built. `tabulate` and `tabulate_classes` are the one in use.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.eval import kernel
from cerberus_bench.schema.errors import DataError

Int64 = NDArray[np.int64]
Labels = NDArray[np.integer]

ID_LIMIT = 2**32
"""Ids stay below this, so that a pair of them packs into one 64-bit key."""
CLASS_LIMIT = 2**16
"""The number of classes stays below this."""
THREAD_PIXELS = 2**20
"""Maps of more pixels are halved between two threads; starting one costs some 20 us."""


class Columns(NamedTuple):
    """The first fields of an `Overlap`."""

    truth_ids: Int64
    truth_areas: Int64
    prediction_ids: Int64
    prediction_areas: Int64
    pair_truth: Int64
    pair_prediction: Int64
    intersection: Int64


class ClassColumns(NamedTuple):
    """Tables of four maps: of ids, and of ids with their class."""

    ids: Columns
    by_class: Columns
    """Its objects are what an id has of one class, in order of (id, class); ids may repeat."""
    truth_class: Int64
    """(n_truth,) class of each truth object of `by_class`."""
    prediction_class: Int64


def check_ids(labels: Labels, name: str) -> None:
    """Refuse ids that are negative, or 2**32 and more, with a DataError."""
    if labels.size == 0:
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= ID_LIMIT:
        raise DataError(
            f"{name} has id {low if low < 0 else high}; ids are whole numbers from 0 to 2**32 - 1,"
            " 0 for background. Number the objects anew, for example with"
            " skimage.segmentation.relabel_sequential."
        )


def check_classes(classes: Labels, n_classes: int, name: str) -> None:
    """Refuse classes outside 0..n_classes with a DataError."""
    if classes.size and not 0 <= classes.min() <= classes.max() <= n_classes:
        raise DataError(
            f"{name} has values {classes.min()} to {classes.max()}; classes go from 1 to"
            f" n_classes = {n_classes}, 0 for none"
        )


def native(labels: Labels) -> Labels:
    """The array as the kernel reads it, seldom a copy: aligned, in the machine's byte order."""
    if labels.dtype == np.bool_:
        return labels.view(np.uint8)
    if labels.flags.aligned and labels.dtype.isnative:
        return labels
    return labels.astype(labels.dtype.newbyteorder("="))


def tabulate_compiled(truth: Labels, prediction: Labels) -> Columns:
    """The table of two (H, W) maps of one shape, by the kernel.

    Raises:
        DataError: an id is negative, or 2**32 and more.
    """
    threads = 2 if truth.size > THREAD_PIXELS else 1
    try:
        return _columns(*kernel.compiled.overlap(native(truth), native(prediction), threads))
    except OverflowError:
        check_ids(truth, "truth")
        check_ids(prediction, "prediction")
        raise


def tabulate_numpy(truth: Labels, prediction: Labels) -> Columns:
    """The same by NumPy."""
    truth_row, prediction_row, count = _count_pairs(*_ravel(truth, prediction))
    return _group(truth_row, prediction_row, count)


def tabulate_classes_compiled(
    truth: Labels, truth_class: Labels, prediction: Labels, prediction_class: Labels, n_classes: int
) -> ClassColumns:
    """The tables of two (H, W) maps with the class of each pixel, in one pass of the kernel.

    Raises:
        DataError: an id is negative, or 2**32 and more, or a class is not in 0..n_classes.
    """
    try:
        ids, by_class = kernel.compiled.class_overlap(
            native(truth),
            native(truth_class),
            native(prediction),
            native(prediction_class),
            n_classes,
        )
    except OverflowError:
        _check_maps(truth, truth_class, prediction, prediction_class, n_classes)
        raise
    return _split_classes(_columns(*ids), _columns(*by_class), CLASS_LIMIT)


def tabulate_classes_numpy(
    truth: Labels, truth_class: Labels, prediction: Labels, prediction_class: Labels, n_classes: int
) -> ClassColumns:
    """The same by NumPy."""
    _check_maps(truth, truth_class, prediction, prediction_class, n_classes)
    ids = tabulate_numpy(truth, prediction)
    truth_rank = _combine(truth, truth_class, ids.truth_ids, n_classes)
    prediction_rank = _combine(prediction, prediction_class, ids.prediction_ids, n_classes)
    found = _split_classes(ids, tabulate_numpy(truth_rank, prediction_rank), n_classes + 1)
    by_class = found.by_class._replace(
        truth_ids=ids.truth_ids[found.by_class.truth_ids - 1],
        prediction_ids=ids.prediction_ids[found.by_class.prediction_ids - 1],
    )
    return found._replace(by_class=by_class)


tabulate = tabulate_compiled if kernel.USED else tabulate_numpy
tabulate_classes = tabulate_classes_compiled if kernel.USED else tabulate_classes_numpy


def _columns(values: bytearray, n_truth: int, n_prediction: int) -> Columns:
    array = np.frombuffer(values, np.int64)
    pairs = 2 * (n_truth + n_prediction)
    n_pairs = (len(array) - pairs) // 3
    return Columns(
        array[:n_truth],
        array[n_truth : 2 * n_truth],
        array[2 * n_truth : 2 * n_truth + n_prediction],
        array[2 * n_truth + n_prediction : pairs],
        array[pairs : pairs + n_pairs],
        array[pairs + n_pairs : pairs + 2 * n_pairs],
        array[pairs + 2 * n_pairs :],
    )


def _split_classes(ids: Columns, combined: Columns, base: int) -> ClassColumns:
    """Take ids of the form id * base + class apart."""
    truth_ids, truth_class = np.divmod(combined.truth_ids, base)
    prediction_ids, prediction_class = np.divmod(combined.prediction_ids, base)
    by_class = combined._replace(truth_ids=truth_ids, prediction_ids=prediction_ids)
    return ClassColumns(ids, by_class, truth_class, prediction_class)


def _check_maps(
    truth: Labels, truth_class: Labels, prediction: Labels, prediction_class: Labels, n_classes: int
) -> None:
    check_ids(truth, "truth")
    check_ids(prediction, "prediction")
    check_classes(truth_class, n_classes, "truth_classes")
    check_classes(prediction_class, n_classes, "prediction_classes")


def _combine(labels: Labels, classes: Labels, ids: Int64, n_classes: int) -> Int64:
    """Rank of the id times (n_classes + 1), plus its class; 0 where either is 0."""
    rank = np.searchsorted(ids, labels.astype(np.int64)) + 1
    combined = rank * (n_classes + 1) + classes.astype(np.int64)
    combined[(labels == 0) | (classes == 0)] = 0
    return combined


def _ravel(truth: Labels, prediction: Labels) -> tuple[Labels, Labels]:
    """Both maps as 1-D arrays in one order; column by column where that saves two copies."""
    if truth.flags.f_contiguous and prediction.flags.f_contiguous:
        truth, prediction = truth.T, prediction.T
    return truth.ravel(), prediction.ravel()


def _count_pairs(truth: Labels, prediction: Labels) -> tuple[Int64, Int64, Int64]:
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
    truth, prediction = truth[starts], prediction[starts]
    check_ids(truth, "truth")
    check_ids(prediction, "prediction")
    key = truth.astype(np.uint64) << np.uint64(32) | prediction.astype(np.uint64)
    foreground = key > 0
    return _sum_by_key(key[foreground], lengths[foreground])


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


def _group(truth_row: Int64, prediction_row: Int64, count: Int64) -> Columns:
    truth_ids, truth_areas, truth_index = _areas(truth_row, count)
    prediction_ids, prediction_areas, prediction_index = _areas(prediction_row, count)
    both = (truth_row > 0) & (prediction_row > 0)
    return Columns(
        truth_ids,
        truth_areas,
        prediction_ids,
        prediction_areas,
        truth_index[both],
        prediction_index[both],
        count[both],
    )


def _areas(row_ids: Int64, count: Int64) -> tuple[Int64, Int64, Int64]:
    """Foreground ids, their areas, and for each row the index of its id (-1 for background)."""
    ids, index = np.unique(row_ids, return_inverse=True)
    # Pixel counts stay far below 2**53, where float64 weights are still exact.
    areas = np.bincount(index, weights=count, minlength=len(ids)).astype(np.int64)
    background = int(len(ids) > 0 and ids[0] == 0)
    return ids[background:], areas[background:], index - background
