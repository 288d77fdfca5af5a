"""Objects of a slide as an Arrow table: class, score, area, centroid, outline; level-0 px.

The outline runs along the edges of the object's pixels (`pixel_outlines`): a simple polygon whose
area is that of the pixels, holes filled. `area_um2` counts the pixels alone: without holes, and
with all parts of an object in several, of which the outline goes around one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cerberus_bench.schema.labels import LabelSpace

VERTEX_STEP = 1 / 8
"""Vertices are rounded to multiples of this, level-0 px, so that they compress; on a grid whose px
is less than half a px of level 0, to quarters of its px: a ring keeps its cut corners."""
CENTROID_STEP = 1 / 64
"""The same for centroids."""
SCORE_STEP = 1 / 1024
"""The same for scores."""

_VERTEX = pa.struct([pa.field(axis, pa.float64(), nullable=False) for axis in "xy"])
_RING = pa.list_(pa.field("element", _VERTEX, nullable=False))
POLYGON = pa.list_(pa.field("element", _RING, nullable=False))
"""GeoArrow polygon with separated coordinates: rings of vertices; the first closes the last."""
CATEGORY = pa.dictionary(pa.int8(), pa.string())

OBJECTS = pa.schema(
    [
        pa.field("task", CATEGORY, nullable=False),
        pa.field("class", CATEGORY),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("area_um2", pa.float32(), nullable=False),
        pa.field("x", pa.float64(), nullable=False),
        pa.field("y", pa.float64(), nullable=False),
        pa.field("geometry", POLYGON, nullable=False),
    ]
)
"""One row an object. `class` is null where the model names none; `score` lies in [0, 1]; `x`, `y`
is the centroid; `geometry` is the outline, counterclockwise where y points up."""


def object_table(
    space: LabelSpace,
    classes: NDArray[np.integer[Any]],
    scores: NDArray[np.floating[Any]],
    areas_um2: NDArray[np.floating[Any]],
    centroids_xy: NDArray[np.floating[Any]],
    outlines: Sequence[NDArray[np.number[Any]]],
    *,
    origin_xy: tuple[float, float] = (0, 0),
    factor: float = 1.0,
) -> pa.Table:
    """The objects of one task found on a pixel grid, as a table of `OBJECTS`.

    A vertex v on the grid lies at (v + origin) * factor in level-0 px; a centroid c counts from the
    centre of a pixel, and lies at (c + origin + 0.5) * factor.

    Args:
        space: the model's label space for the task.
        classes: (n,) one-based index into `space`, 0 = none.
        scores: (n,) in [0, 1].
        areas_um2: (n,).
        centroids_xy: (n, 2) x, y, px of the grid, as `instance_table` gives them.
        outlines: (points, 2) x, y each, px of the grid, at least three points, not closed, as
            `pixel_outlines` gives them.
        origin_xy: where the grid's pixel 0, 0 lies, px of the grid.
        factor: level-0 px a px of the grid.

    Raises:
        ValueError: columns differ in length, an index is out of range, or an outline has fewer
            than three points.
    """
    n = len(outlines)
    if {len(classes), len(scores), len(areas_um2), len(centroids_xy)} != {n}:
        raise ValueError(f"columns of different lengths for {n} outlines of {space.task}")
    if n and not (classes.min() >= 0 and classes.max() <= len(space.classes)):
        raise ValueError(f"a class index of {space.task} is outside 0..{len(space.classes)}")
    points, lengths = _concatenated(outlines)
    origin = np.asarray(origin_xy, np.float64)
    vertices = _rounded((points + origin) * factor, VERTEX_STEP * min(1, 2 * factor))
    rings, ends = _closed(vertices, lengths)
    centroids = _rounded((centroids_xy.reshape(n, 2) + origin + 0.5) * factor, CENTROID_STEP)
    columns = [
        _category(np.ones(n, np.int64), (space.task,)),
        _category(classes, space.classes),
        pa.array(_rounded(scores, SCORE_STEP).astype(np.float32)),
        pa.array(np.asarray(areas_um2, np.float32)),
        *(pa.array(centroids[:, axis]) for axis in (0, 1)),
        polygons(rings, ends),
    ]
    return pa.table(columns, schema=OBJECTS)


def polygons(vertices: NDArray[np.float64], ends: NDArray[np.integer[Any]]) -> pa.ListArray:
    """Polygons of one closed ring each.

    Args:
        vertices: (N, 2) x, y of all rings in a row.
        ends: (n,) the index behind the last vertex of each ring.
    """
    axes = [pa.array(np.ascontiguousarray(vertices[:, axis])) for axis in (0, 1)]
    flat = pa.StructArray.from_arrays(axes, fields=list(_VERTEX))
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    rings = pa.ListArray.from_arrays(pa.array(offsets), flat, type=_RING)
    each = pa.array(np.arange(len(ends) + 1, dtype=np.int32))
    return pa.ListArray.from_arrays(each, rings, type=POLYGON)


def rings_of(geometry: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The outer rings of a `geometry` column; the inverse of `polygons`.

    Returns:
        (N, 2) x, y of all rings in a row, and (n,) the index behind the last vertex of each.
    """
    rings = geometry.combine_chunks().flatten()
    flat = rings.flatten()
    vertices = np.stack([flat.field(axis).to_numpy() for axis in (0, 1)], axis=1)
    return vertices, np.cumsum(rings.value_lengths().to_numpy(), dtype=np.int64)


def _concatenated(
    outlines: Sequence[NDArray[np.number[Any]]],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    lengths = np.array([len(xy) for xy in outlines], np.int64)
    if len(lengths) and lengths.min() < 3:
        raise ValueError(f"an outline of {lengths.min()} points; a ring takes at least 3")
    points = np.concatenate([np.zeros((0, 2)), *outlines]).astype(np.float64, copy=False)
    return points, lengths


def _rounded(values: NDArray[np.floating[Any]], step: float) -> NDArray[np.float64]:
    return np.asarray(np.rint(values / step) * step, np.float64)


def _closed(
    points: NDArray[np.float64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rings with their first vertex repeated at the end, turned counterclockwise (y up)."""
    ends = np.cumsum(lengths + 1)
    of_ring = np.repeat(np.arange(len(lengths)), lengths + 1)
    step = np.arange(len(of_ring)) - (ends - lengths - 1)[of_ring]
    first = (np.cumsum(lengths) - lengths)[of_ring]
    ring = points[first + step % lengths[of_ring]]
    cross = ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]
    cross[ends[:-1] - 1] = 0  # from one ring to the next
    twice_area = np.bincount(of_ring[:-1], weights=cross, minlength=len(lengths))
    backwards = (twice_area < 0)[of_ring]
    return points[first + np.where(backwards, -step, step) % lengths[of_ring]], ends


def _category(index: NDArray[np.integer[Any]], names: Sequence[str]) -> pa.DictionaryArray:
    codes = pa.array(index.astype(np.int8) - 1, mask=index == 0)
    return pa.DictionaryArray.from_arrays(codes, pa.array(names, pa.string()))
