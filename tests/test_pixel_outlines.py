"""Outlines along the edges of pixels: both ways, against sets of pixels and worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from instance_maps import needs_kernel, way
from numpy.typing import NDArray
from scipy import ndimage

from cerberus_bench.model_zoo import instances_compiled, instances_plain
from cerberus_bench.model_zoo.instances import instance_table, pixel_outlines
from cerberus_bench.model_zoo.pixel_edges import simple_rings
from cerberus_bench.schema.errors import DataError

__all__ = ["way"]

Labels = NDArray[np.int32]
QUICK = settings(max_examples=150, deadline=None)
JOINT_PX = 1 / 32
"""What the joint of two pixels that touch at a corner adds."""


def label_maps() -> st.SearchStrategy[Labels]:
    """Objects in many parts with holes, at every edge."""
    shapes = st.tuples(st.integers(1, 12), st.integers(1, 24))
    element = st.sampled_from([0, 0, 1, 1, 2, 7])
    return shapes.flatmap(lambda s: arrays(np.int32, s, elements=element))


def every_first_pixel(labels: Labels) -> Labels:
    """(n, 2) x, y of the first pixel of every 8-connected part of every object."""
    starts = [np.zeros((0, 2), np.int32)]
    for i in np.unique(labels[labels > 0]):
        parts, _ = ndimage.label(labels == i, np.ones((3, 3)))
        first = np.unique(parts, return_index=True)[1][-parts.max() :]
        starts.append(np.stack(np.divmod(first, labels.shape[1])[::-1], axis=1).astype(np.int32))
    return np.concatenate(starts)


def solid_part(labels: Labels, start: NDArray[np.int32]) -> NDArray[np.bool_]:
    """The 8-connected part that a pixel belongs to, holes filled."""
    x, y = start
    parts, _ = ndimage.label(labels == labels[y, x], np.ones((3, 3)))
    return np.asarray(ndimage.binary_fill_holes(parts == parts[y, x]))


def joints(solid: NDArray[np.bool_]) -> int:
    """How many pairs of pixels touch at a corner only."""
    a, b, c, d = solid[:-1, :-1], solid[:-1, 1:], solid[1:, :-1], solid[1:, 1:]
    return int(((a & d & ~b & ~c) | (b & c & ~a & ~d)).sum())


def check_polygons(labels: Labels, starts: NDArray[np.int32]) -> None:
    shapely = pytest.importorskip("shapely", reason="shapely is in the extra [geo]")
    y, x = np.indices(labels.shape) + 0.5
    outlines = pixel_outlines(labels, starts)
    assert len(outlines) == len(starts)
    for start, vertices in zip(starts, outlines, strict=True):
        solid = solid_part(labels, start)
        polygon = shapely.Polygon(vertices)
        assert polygon.is_valid
        assert polygon.exterior.is_ccw  # where y points up
        assert polygon.area == solid.sum() + joints(solid) * JOINT_PX
        np.testing.assert_array_equal(shapely.contains_xy(polygon, x, y), solid)
        steps = np.sign(np.diff(vertices, axis=0, append=vertices[:1]))
        assert (steps != np.roll(steps, 1, axis=0)).any(axis=1).all()  # it turns at every vertex


@QUICK
@given(label_maps())
def test_polygons_are_the_pixels_of_any_part(labels: Labels) -> None:
    check_polygons(labels, every_first_pixel(labels))


@pytest.mark.parametrize("name", ["nuclei_map", "gland_map", "lumen_map"])
def test_polygons_of_published_objects(name: str, way: str) -> None:
    with np.load(Path(__file__).parent / "golden" / "postprocessing.npz") as file:
        labels = file[name][:256, :256]
    found = instance_table(labels)
    check_polygons(labels, found.starts_xy)
    areas = np.bincount(labels.ravel())[found.id]
    solid = [solid_part(labels, start).sum() for start in found.starts_xy]
    assert areas.tolist() == solid  # none has holes or several parts


@needs_kernel
@QUICK
@given(label_maps())
def test_both_ways_agree(labels: Labels) -> None:
    starts = every_first_pixel(labels)
    one, other = (w.edges(labels, starts) for w in (instances_compiled, instances_plain))
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def drawn(*lines: str) -> Labels:
    return np.array([[letter == "#" for letter in line] for line in lines]).astype(np.int32)


def test_by_hand(way: str) -> None:
    (pixel,) = pixel_outlines(drawn("...", ".#."), np.array([[1, 1]]))
    assert pixel.tolist() == [[2, 1], [2, 2], [1, 2], [1, 1]]
    (angle,) = pixel_outlines(drawn("##", "#."), np.array([[0, 0]]))
    assert angle.tolist() == [[2, 0], [2, 1], [1, 1], [1, 2], [0, 2], [0, 0]]
    (ring,) = pixel_outlines(drawn("###", "#.#", "###"), np.array([[0, 0]]))
    assert ring.tolist() == [[3, 0], [3, 3], [0, 3], [0, 0]]


def test_pixels_that_touch_at_a_corner_are_joined(way: str) -> None:
    (joined,) = pixel_outlines(drawn("#.", ".#"), np.array([[0, 0]]))
    assert joined.tolist() == [
        *([1, 0], [1, 0.75], [1.25, 1], [2, 1], [2, 2]),
        *([1, 2], [1, 1], [0, 1], [0, 0]),
    ]
    # the other way round the corner is inside, in a hole that is filled
    (closed,) = pixel_outlines(drawn(".##", "#.#", "###"), np.array([[1, 0]]))
    assert closed.tolist() == [[3, 0], [3, 3], [0, 3], [0, 1], [1, 1], [1, 0]]


def test_any_layout_and_ids_give_the_same(way: str) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (20, 30)).astype(np.int32)
    starts = every_first_pixel(labels)
    expected = [xy.tolist() for xy in pixel_outlines(labels, starts)]
    wide = np.repeat(labels, 2, axis=1).astype(np.uint64) * 10**9
    for other in (np.asfortranarray(labels), wide[:, ::2]):
        assert [xy.tolist() for xy in pixel_outlines(other, starts[:, ::-1].copy()[:, ::-1])] == (
            expected
        )


def test_no_starts_give_no_outlines(way: str) -> None:
    none = np.zeros((0, 2), np.int32)
    assert pixel_outlines(np.zeros((0, 5), np.int32), none) == []
    assert [len(found) for found in simple_rings(none, np.zeros(0, np.int64))] == [0, 0]
    assert instance_table(np.zeros((3, 3), np.int32)).starts_xy.shape == (0, 2)


@pytest.mark.parametrize(
    "start", [(0, 0), (1, 2), (-1, 1), (1, -1), (9, 1), (1, 9), (2**31 - 1, 1)]
)
def test_starts_that_are_none_are_refused(start: tuple[int, int], way: str) -> None:
    """Background, a pixel below another one, outside of the map."""
    labels = drawn("....", ".##.", ".##.")
    with pytest.raises(ValueError, match="uppermost pixel"):
        pixel_outlines(labels, np.array([start]))
    with pytest.raises(DataError, match="label map"):
        pixel_outlines(labels[0], np.array([[1, 1]]))


@needs_kernel
def test_the_kernel_takes_no_other_arrays() -> None:
    from cerberus_bench.model_zoo.kernel import compiled

    labels = drawn("#")
    with pytest.raises(ValueError, match="shape"):
        compiled.edges(labels, np.zeros((1, 3), np.int32))
    with pytest.raises(TypeError):
        compiled.edges(labels, np.zeros((1, 2), np.int64))
    with pytest.raises(TypeError):
        compiled.edges(labels.astype(float), np.zeros((1, 2), np.int32))
