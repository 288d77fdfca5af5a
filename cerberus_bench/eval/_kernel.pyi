"""The compiled kernel; see `cerberus_bench.eval.tabulate` and `cerberus_bench.eval.hausdorff`."""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer]
Int64 = NDArray[np.int64]
Table = tuple[bytearray, int, int]
"""int64 ids and areas of truth objects, of predictions, and per pair both indices and the px;
then the numbers of truth objects and of predictions."""

def overlap(truth: Labels, prediction: Labels, threads: int, /) -> Table:
    """Table of two 2-D maps. OverflowError: an id is negative or 2**32 or more."""

def class_overlap(
    truth: Labels,
    truth_class: Labels,
    prediction: Labels,
    prediction_class: Labels,
    n_classes: int,
    /,
) -> tuple[Table, Table]:
    """The table of ids, and the table of ids split by class, whose ids are id << 16 | class.

    OverflowError: as above, or a class is not in 0..n_classes, or n_classes not below 2**16.
    """

def hausdorff(
    truth: Labels,
    prediction: Labels,
    truth_ids: Int64,
    truth_partner: Int64,
    prediction_ids: Int64,
    prediction_partner: Int64,
    /,
) -> tuple[bytearray, bytearray]:
    """int64 squared Hausdorff distances of the objects of both sides to their partners.

    A partner is an index on the other side, -1 for the nearest object there that counts, or -2
    for an object that does not count (distance 0).
    """
