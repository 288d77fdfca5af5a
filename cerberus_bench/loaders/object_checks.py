"""What can be wrong with the objects of one record."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.dataset import FaultKind
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.record import Coverage, Instances, Record

SPECK_PIXELS = 5
"""An object of fewer pixels is a speck."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """The objects of one record and task that a check found."""

    kind: FaultKind
    task: str
    ids: NDArray[np.int64]
    """Ids of the objects; row numbers for boxes and points; empty where there is no object."""


def suspects(record: Record, task: str) -> list[Suspects]:
    """What the checks find on a task that is annotated on a record."""
    if task in record.instances:
        return _of_instances(record.instances[task], task)
    if task == "signet_ring" and record.signet_ring is not None:
        return _found(_empty(task, len(record.signet_ring)), _outside(record, record.signet_ring))
    if task == "nuclei" and record.points is not None:
        points = np.hstack([record.points, record.points])
        return _found(_empty(task, len(points)), _outside(record, points, task="nuclei"))
    return []


def annotated(record: Record) -> list[str]:
    """Tasks that are annotated on a record, at least in part."""
    return [task for task, how in record.coverage.items() if how is not Coverage.NONE]


def n_objects(record: Record, task: str) -> int:
    """Objects of a task on a record; 1 for a patch with a tissue class."""
    if task in record.instances:
        return len(record.instances[task].ids)
    if task == "tissue":
        return int(record.tissue is not None)
    rows = record.signet_ring if task == "signet_ring" else record.points
    return 0 if rows is None else len(rows)


def class_names(record: Record, task: str, space: LabelSpace) -> list[str | None]:
    """The class of each object of a task; None for none."""
    names = (None, *space.classes)
    if task in record.instances:
        return [names[c] for c in record.instances[task].classes.tolist()]
    if task == "tissue":
        return [] if record.tissue is None else [space.classes[record.tissue]]
    if task == "nuclei" and record.point_classes is not None:
        return [names[c] for c in record.point_classes.tolist()]
    return [space.classes[0]] * n_objects(record, task)


def areas(instances: Instances) -> NDArray[np.int64]:
    """(n,) pixels of each id."""
    return np.bincount(instances.labels.ravel(), minlength=1)[instances.ids]


def touching_ids(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """(n, 2) pairs of ids that share an edge, each once, smaller id first."""
    pairs = [
        np.stack([a[where], b[where]], axis=1)
        for a, b in ((labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1]))
        for where in [(a != b) & (a != 0) & (b != 0)]
    ]
    unique: NDArray[np.int64] = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
    return unique.astype(np.int64)


def multi_part_ids(instances: Instances) -> NDArray[np.int64]:
    """Ids of objects of several parts; parts that touch at a corner are one."""
    from skimage.measure import label

    parts = label(instances.labels, background=0, connectivity=2)  # type: ignore[no-untyped-call]
    _, first = np.unique(parts, return_index=True)
    owners = instances.labels.ravel()[first]
    ids, counts = np.unique(owners[owners != 0], return_counts=True)
    several: NDArray[np.int64] = ids[counts > 1].astype(np.int64)
    return several


def _of_instances(found: Instances, task: str) -> list[Suspects]:
    return _found(
        _empty(task, len(found.ids)),
        Suspects(FaultKind.SPECK, task, found.ids[areas(found) < SPECK_PIXELS]),
        Suspects(FaultKind.MULTI_PART, task, multi_part_ids(found)),
        Suspects(FaultKind.TOUCHING, task, np.unique(touching_ids(found.labels))),
        Suspects(FaultKind.NO_CLASS, task, found.ids[found.classes == 0]),
    )


def _empty(task: str, n: int) -> Suspects | None:
    return None if n else Suspects(FaultKind.EMPTY, task, np.zeros(0, np.int64))


def _outside(record: Record, boxes: NDArray[np.float32], task: str = "signet_ring") -> Suspects:
    """Boxes that leave the image by more than half a pixel, or have no area; points are boxes."""
    height, width = record.image.shape[:2]
    low, high = boxes[:, :2], boxes[:, 2:]
    leaves = (low < -0.5) | (high > np.array([width, height]) - 0.5)
    is_flat = (high <= low) if task == "signet_ring" else np.zeros_like(leaves)
    return Suspects(FaultKind.OUTSIDE, task, np.flatnonzero((leaves | is_flat).any(axis=1)))


def _found(*checks: Suspects | None) -> list[Suspects]:
    return [one for one in checks if one and (len(one.ids) or one.kind is FaultKind.EMPTY)]
