"""What is measured of objects: the compiled kernel, OpenCV and NumPy, and cases worked by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from instance_maps import needs_kernel, smooth_maps, way
from numpy.typing import NDArray

from cerberus_bench.model_zoo import instances_compiled, instances_plain, kernel
from cerberus_bench.model_zoo.instances import InstanceTable, instance_table, nuclei_instances
from cerberus_bench.schema.errors import DataError

__all__ = ["way"]

Labels = NDArray[np.int32]
QUICK = settings(max_examples=150, deadline=None)
SHAPES = st.tuples(st.integers(0, 12), st.integers(0, 24))


def label_maps() -> st.SearchStrategy[Labels]:
    """Objects in many parts with holes, at every edge."""
    element = st.sampled_from([0, 0, 1, 1, 2, 7])
    return SHAPES.flatmap(lambda s: arrays(np.int32, s, elements=element))


def assert_same(one: InstanceTable, other: InstanceTable) -> None:
    for name in InstanceTable.__slots__:
        a, b = getattr(one, name), getattr(other, name)
        if name == "contours":
            a, b = [xy.tolist() for xy in a], [xy.tolist() for xy in b]
            assert a == b
        else:
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)


def slow_table(labels: Labels, types: NDArray[np.uint16], scores: NDArray[np.float32]) -> list:
    """One object at a time over the whole map."""
    rows = []
    for i in np.unique(labels[labels > 0]):
        mask = labels == i
        contours, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
        )
        xy = contours[0][:, 0]
        if len(xy) < 3:
            continue
        ys, xs = np.nonzero(mask)
        kinds = sorted(set(types[mask].tolist()) - {0}) or [0]
        counts = [np.count_nonzero(types[mask] == kind) for kind in kinds]
        best = counts.index(max(counts))
        rows.append(
            {
                "id": i,
                "box": [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1],
                "area": len(ys),
                "centroid": [xs.mean(), ys.mean()],
                "type": kinds[best],
                "type_prob": counts[best] / (len(ys) + 1e-6),
                "score": scores[mask].mean(dtype=np.float64),
                "contours": xy.tolist(),
            }
        )
    return rows


@QUICK
@given(label_maps(), st.integers(0, 2**32 - 1))
def test_every_column_on_any_map(labels: Labels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    types = rng.choice(np.array([0, 0, 1, 2, 65535], np.uint16), labels.shape)
    scores = rng.random(labels.shape, np.float32)
    table = instance_table(labels, types, scores)
    expected = slow_table(labels, types, scores)
    assert len(table) == len(expected)
    assert [xy.tolist() for xy in table.contours] == [row.pop("contours") for row in expected]
    for name in expected[0] if expected else ():
        values = [row[name] for row in expected]
        np.testing.assert_allclose(getattr(table, name), values, atol=1e-12, rtol=1e-12)


@needs_kernel
@QUICK
@given(label_maps(), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_both_ways_agree_to_the_last_bit(labels: Labels, seed: int, threads: int) -> None:
    rng = np.random.default_rng(seed)
    types = rng.choice(np.array([0, 0, 1, 2, 65535], np.uint16), labels.shape)
    scores = rng.random((*labels.shape, 3), np.float32)[..., 1]
    for given_maps in ((None, None), (types, scores)):
        one, other = (
            w.measure(labels, *given_maps, threads=threads)
            for w in (instances_compiled, instances_plain)
        )
        for name, a, b in zip(one._fields, one, other, strict=True):
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)


def nested_squares(n: int, gap: int) -> Labels:
    """Rings in one another, and a blot in the innermost, all of one object."""
    side = 2 * n * (gap + 1) + 3
    labels = np.zeros((side, side), np.int32)
    for k in range(n):
        inset = k * (gap + 1)
        labels[inset : side - inset, inset : side - inset] = 5
        labels[inset + 1 : side - inset - 1, inset + 1 : side - inset - 1] = 0
    labels[side // 2 : side // 2 + 2, side // 2 : side // 2 + 2] = 5
    return labels


@pytest.mark.parametrize("gap", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_parts_in_holes_are_not_outlined(n: int, gap: int, way: str) -> None:
    labels = nested_squares(n, gap)
    assert instance_table(labels).contours[0].tolist() == _first_contour(labels == 5)
    apart = np.pad(labels, ((0, 3), (0, 9)))
    apart[-2:, -4:] = 5  # begins last, and lies outside the rings
    assert instance_table(apart).contours[0].tolist() == _first_contour(apart == 5)
    opened = labels.copy()
    opened[0, 3] = 0  # a hole that is open at a side, but then the blot lies outside too
    assert instance_table(opened).contours[0].tolist() == _first_contour(opened == 5)


def _first_contour(mask: NDArray[np.bool_]) -> list[list[int]]:
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    return [[int(x), int(y)] for x, y in found[0][:, 0]]


@pytest.mark.parametrize("seed", range(60))
def test_outlines_of_rings_and_blots_are_opencvs(seed: int, way: str) -> None:
    """Ellipses drawn with lines of any width over one another: parts in holes in parts."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((90, 110), np.uint8)
    for _ in range(12):
        centre, axes = rng.integers(0, 90, 2).tolist(), rng.integers(1, 45, 2).tolist()
        thickness = int(rng.choice([-1, 1, 1, 2, 3]))
        colour = int(rng.integers(0, 4) > 0)
        cv2.ellipse(mask, centre, axes, rng.integers(0, 180), 0, 360, colour, thickness)
    found = [xy.tolist() for xy in instance_table(mask.astype(np.int32)).contours]
    expected = _first_contour(mask > 0)
    assert found == ([expected] if len(expected) >= 3 else [])


def test_table_of_nuclei_is_the_same_in_both_ways_and_any_threads(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    labels = nuclei_instances(smooth_maps(0, 1.5))
    rng = np.random.default_rng(0)
    types, scores = rng.integers(0, 4, labels.shape), rng.random(labels.shape, np.float32)
    one = instance_table(labels, types, scores, threads=1)
    assert len(one) > 100
    for threads in (0, 2, 3, 64, 500):
        assert_same(instance_table(labels, types, scores, threads=threads), one)
    from cerberus_bench.model_zoo import instances

    monkeypatch.setattr(instances, "_WAY", instances_plain)
    assert_same(instance_table(labels, types, scores), one)


def test_outlines_behind_one_another(way: str) -> None:
    labels = nuclei_instances(smooth_maps(1, 1.5))
    labels[0, 0:2] = labels.max() + 1  # two points: left out
    table = instance_table(labels)
    assert table.id[-1] < labels.max()
    assert table.outline_lengths.tolist() == [len(xy) for xy in table.contours]
    np.testing.assert_array_equal(table.outline_xy, np.concatenate(table.contours))
    assert table.area.sum() == np.count_nonzero(np.isin(labels, table.id))


DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F", "mirrored", "swapped"])
def test_any_dtype_and_memory_order(dtype: type, order: str, way: str) -> None:
    labels = nuclei_instances(smooth_maps(2, 2.5)) % 100
    given_map = labels.astype(dtype)
    if order == "F":
        given_map = np.asfortranarray(given_map)
    elif order == "mirrored":
        given_map = given_map[::-1, ::-1].copy()[::-1, ::-1]
    elif order == "swapped":
        given_map = given_map.astype(given_map.dtype.newbyteorder())
    assert_same(instance_table(given_map, given_map), instance_table(labels, labels))


def test_ids_far_above_the_number_of_pixels(way: str) -> None:
    labels = np.zeros((6, 8), np.int64)
    labels[1:4, 2:5] = 2**31 - 1
    labels[1:3, 6:8] = 2**30
    assert instance_table(labels).id.tolist() == [2**30, 2**31 - 1]
    labels[labels == 0] = 3  # no background
    assert instance_table(labels).id.tolist() == [3, 2**30, 2**31 - 1]


@pytest.mark.parametrize("wrong", [-1, -(2**40), 2**31, 2**63 - 1])
def test_ids_out_of_range_are_refused(wrong: int, way: str) -> None:
    labels = np.ones((6, 8), np.int64)
    labels[2, 3] = wrong
    with pytest.raises(DataError, match=f"holds id {wrong}"):
        instance_table(labels)


@pytest.mark.parametrize("wrong", [-1, 2**16])
def test_classes_out_of_range_are_refused(wrong: int, way: str) -> None:
    labels = np.ones((6, 8), np.int32)
    with pytest.raises(DataError, match=f"holds class {wrong}"):
        instance_table(labels, labels * wrong)


def test_maps_of_other_shapes_are_refused() -> None:
    labels = np.ones((6, 8), np.int32)
    with pytest.raises(DataError, match="type map"):
        instance_table(labels, labels.T)
    with pytest.raises(DataError, match="score map"):
        instance_table(labels, None, np.zeros((6, 8, 1), np.float32))
    with pytest.raises(DataError, match=r"\(H, W\)"):
        instance_table(labels[0])
    with pytest.raises(DataError, match="Cut it"):
        instance_table(np.broadcast_to(np.int32(0), (2**16, 2**16)))


@needs_kernel
def test_wrong_calls_are_refused() -> None:
    measure = kernel.compiled.objects
    labels = np.ones((4, 5), np.int32)
    types, values = labels.astype(np.uint16), labels.astype(np.float32)
    for wrong in (-1, 2**21, 2**31 - 1):
        bad = labels.copy()
        bad[3, 4] = wrong
        with pytest.raises(OverflowError, match="out of range"):
            measure(bad, None, None, 1)
    for given_maps in (
        (labels[0], None, None, 1),
        (labels.astype(np.int64), None, None, 1),
        (labels, labels, None, 1),
        (labels, None, types, 1),
        (labels, None, None),
        (None, None, None, 1),
    ):
        with pytest.raises(TypeError):
            measure(*given_maps)  # type: ignore[call-overload]
    for given_maps in ((labels, types[:2], None, 1), (labels, types, values[:, :2], 1)):
        with pytest.raises(ValueError, match="shape"):
            measure(*given_maps)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="contiguous"):
        measure(labels.T, None, None, 1)
