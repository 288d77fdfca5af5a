"""Native records to harmonised ones: another pixel size, and cuts of what is too large."""

import dataclasses
from collections.abc import Iterator
from itertools import pairwise, product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.instances import keep_present
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import MAX_INSTANCES, Instances, Record
from cerberus_bench.schema.resample import map_points, resize_image, resize_labels, scaled_shape

HARMONISER_VERSION = "1"
"""Rises when the same source gives other bytes."""
MAX_SIDE = 2048
"""Longest side of a harmonised record, px; larger ones are cut."""

T = TypeVar("T", bound=np.generic)


def harmonise(record: Record, mpp: float | None) -> list[Record]:
    """A native record at `mpp` (None = as it is), cut if it is larger than `MAX_SIDE`.

    Raises:
        DataError: more instances than a 16-bit label map holds.
    """
    resampled = record if mpp is None else at_mpp(record, mpp)
    for task, instances in resampled.instances.items():
        if instances.ids.size and instances.ids.max() > MAX_INSTANCES:
            raise DataError(
                f"{record.sample_id}: {task} id {instances.ids.max()} does not fit a 16-bit label"
                f" map ({MAX_INSTANCES}). Renumber the instances of the source."
            )
    return cut(resampled, MAX_SIDE)


def at_mpp(record: Record, mpp: float) -> Record:
    """The record brought to `mpp`; instances that vanish are counted in `n_lost`.

    Images by area averaging or Lanczos, label maps and masks by coverage, points and boxes by the
    same half-pixel map. An object keeps its id.
    """
    before = record.image.shape[:2]
    after = scaled_shape(before, record.mpp, mpp)
    if after == before:
        return dataclasses.replace(record, mpp=mpp)
    instances = {
        task: keep_present(found, resize_labels(found.labels, after))
        for task, found in record.instances.items()
    }
    lost = sum(
        len(record.instances[task].ids) - len(found.ids) for task, found in instances.items()
    )
    return dataclasses.replace(
        record,
        image=resize_image(record.image, after),
        mpp=mpp,
        instances=instances,
        signet_ring=_map_boxes(record.signet_ring, before, after),
        points=None if record.points is None else map_points(record.points, before, after),
        valid=None
        if record.valid is None
        else resize_labels(record.valid.astype(np.uint8), after).astype(bool),
        n_lost=record.n_lost + lost,
    )


def cut(record: Record, max_side: int) -> list[Record]:
    """The record itself, or cuts of equal grid of at most `max_side` px a side.

    A cut keeps the ids of its part of the label map, the points that lie on it, and the boxes
    whose centre does (in coordinates of the cut, clipped to it). Its `sample_id` ends in `@x,y`.
    `n_lost` stands with the first cut.
    """
    height, width = record.image.shape[:2]
    if max(height, width) <= max_side:
        return [record]
    record = dataclasses.replace(record, signet_ring=_clip_boxes(record.signet_ring, height, width))
    windows = product(_intervals(height, max_side), _intervals(width, max_side))
    return [
        _window(record, rows, columns, n_lost=0 if i else record.n_lost)
        for i, (rows, columns) in enumerate(windows)
    ]


def _intervals(length: int, max_side: int) -> Iterator[slice]:
    n = -(-length // max_side)
    return (slice(a, b) for a, b in pairwise(length * i // n for i in range(n + 1)))


def _window(record: Record, rows: slice, columns: slice, *, n_lost: int) -> Record:
    corner = (columns.start, rows.start)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    points, point_classes = record.points, record.point_classes
    if points is not None:
        here = _lies_in(points, corner, size)
        points = points[here] - np.array(corner, np.float32)
        point_classes = None if point_classes is None else point_classes[here]
    return dataclasses.replace(
        record,
        sample_id=f"{record.sample_id}@{corner[0]},{corner[1]}",
        image=_part(record.image, rows, columns),
        instances={
            task: _part_of_instances(found, rows, columns)
            for task, found in record.instances.items()
        },
        signet_ring=_cut_boxes(record.signet_ring, corner, size),
        points=points,
        point_classes=point_classes,
        valid=None if record.valid is None else _part(record.valid, rows, columns),
        origin_xy=corner,
        n_lost=n_lost,
    )


def _part(array: NDArray[T], rows: slice, columns: slice) -> NDArray[T]:
    return np.ascontiguousarray(array[rows, columns])


def _part_of_instances(found: Instances, rows: slice, columns: slice) -> Instances:
    return keep_present(found, _part(found.labels, rows, columns))


def _lies_in(
    points: NDArray[np.floating], corner: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which (n, 2) x y points, in pixel-centre coordinates, lie on a window."""
    low = np.array(corner) - 0.5
    inside: NDArray[np.bool_] = np.all((points >= low) & (points < low + size), axis=1)
    return inside


def _cut_boxes(
    boxes: NDArray[np.float32] | None, corner: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float32] | None:
    if boxes is None:
        return None
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    here = boxes[_lies_in(centres, corner, size)] - np.array([*corner, *corner], np.float32)
    return _clip_boxes(here, size[1], size[0])


def _clip_boxes(
    boxes: NDArray[np.float32] | None, height: int, width: int
) -> NDArray[np.float32] | None:
    """Boxes cut at the border of an image; pixel centres are whole numbers."""
    if boxes is None:
        return None
    high = np.array([width, height, width, height], np.float32) - np.float32(0.5)
    clipped: NDArray[np.float32] = np.clip(boxes, np.float32(-0.5), high)
    return clipped


def _map_boxes(
    boxes: NDArray[np.float32] | None, before: tuple[int, int], after: tuple[int, int]
) -> NDArray[np.float32] | None:
    if boxes is None:
        return None
    return map_points(boxes.reshape(-1, 2), before, after).reshape(-1, 4)
