"""Label maps as sources store them to `Instances`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import MAX_INSTANCES, Instances


def from_label_map(
    labels: NDArray[np.integer], classes_of: Callable[[NDArray[np.int64]], NDArray[np.int64]]
) -> Instances:
    """Instances of an (H, W) label map whose values are ids, 0 = background.

    Args:
        labels: ids of any integer type.
        classes_of: ascending ids -> one-based class indices.
    """
    ids = present_ids(labels)
    return Instances(labels.astype(np.int32), ids, classes_of(ids))


def as_ids(stored: NDArray[Any], name: str) -> NDArray[np.int32]:
    """An (H, W) array as a map of ids, whatever number type it is stored in.

    Raises:
        DataError: it is no map of whole numbers from 0 to 65,535.
    """
    if stored.ndim != 2 or stored.dtype.kind not in "iufb":
        raise DataError(f"{name} is no two-dimensional map of numbers")
    with np.errstate(invalid="ignore"):  # what is no number is found below
        labels: NDArray[np.int32] = stored.astype(np.int32)
    is_exact = np.array_equal(stored, labels)
    if not is_exact or labels.min(initial=0) < 0 or labels.max(initial=0) > MAX_INSTANCES:
        raise DataError(f"{name} holds values that are no ids (0 to {MAX_INSTANCES})")
    return labels


def present_ids(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """The ids in a label map, ascending, without background."""
    ids: NDArray[np.int64] = np.unique(labels).astype(np.int64)
    foreground: NDArray[np.int64] = ids[ids != 0]
    return foreground


def keep_present(instances: Instances, labels: NDArray[np.int32]) -> Instances:
    """The same instances on another label map: those of which a pixel is left there."""
    kept = np.isin(instances.ids, present_ids(labels))
    return Instances(labels, instances.ids[kept], instances.classes[kept])


def look_up(
    ids: NDArray[np.int64], table: Mapping[int, int], name: str, task: str
) -> NDArray[np.int64]:
    """The class index of each id.

    Raises:
        DataError: the source does not give a class for an id.
    """
    lacking = [int(i) for i in ids if int(i) not in table]
    if lacking:
        raise DataError(
            f"{name}: {task} {lacking[0]} is in the label map but has no class"
            f" ({len(lacking)} such ids). The file is not what the source distributes."
        )
    return np.array([table[int(i)] for i in ids], np.int64)
