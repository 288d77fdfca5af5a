"""Glands and lumina: the rules word for word, the compiled kernel and OpenCV, cases by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from instance_maps import large_components, needs_kernel, same_partition, smooth_maps, way
from numpy.typing import NDArray
from scipy import ndimage

from cerberus_bench.model_zoo import instances_compiled, instances_plain, kernel
from cerberus_bench.model_zoo.instances import gland_instances, lumen_instances
from cerberus_bench.model_zoo.region_rules import GLAND_RULES, LUMEN_RULES, RegionRules

__all__ = ["way"]

Prob = NDArray[np.float32]
QUICK = settings(max_examples=150, deadline=None)


def plain_regions(
    prob: NDArray[np.float32], threshold: float, min_area: int, size: int
) -> NDArray[np.int32]:
    """The rules of the design, one sentence a line; coordinates as they are written there."""
    labels = large_components(prob[..., 0] - (prob[..., 1] > 0.5) > threshold, min_area)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    result, pad, (height, width) = np.zeros_like(labels), 2 * size, labels.shape
    for i in np.unique(labels[labels > 0]):
        ys, xs = np.nonzero(labels == i)
        y0, x0, y1, x1 = ys.min(), xs.min(), ys.max() + 1, xs.max() + 1
        y0, x0 = (v - pad if v - pad >= 0 else v for v in (y0, x0))
        y1 = y1 + pad if y1 + pad <= height - 1 else y1
        x1 = x1 + pad if x1 + pad <= width - 1 else x1
        one = cv2.dilate((labels[y0:y1, x0:x1] == i).astype(np.uint8), kernel)
        result[y0:y1, x0:x1][ndimage.binary_fill_holes(one)] = i
    return result


@pytest.mark.parametrize("seed", range(6))
def test_random_regions_agree_with_the_plain_rules(seed: int, way: str) -> None:
    coarse = smooth_maps(seed, sigma=7)
    assert plain_regions(coarse, 0.55, 250, 5).max() > 1
    for scale in (0.5, 1.0):
        area, size = int(1000 * scale**2), int(10 * scale)
        expected = plain_regions(coarse, 0.55, area, size)
        assert same_partition(gland_instances(coarse, scale), expected)
        area, size = int(150 * scale**2), int(2 * scale)
        expected = plain_regions(coarse, 0.5, area, size)
        assert same_partition(lumen_instances(coarse, scale), expected)


def probability_maps() -> st.SearchStrategy[Prob]:
    """Maps of few levels, some of them the thresholds themselves."""
    levels = [0.0, 0.3, 0.5, np.float32(0.55), 0.55, 0.9]
    shape = st.tuples(st.integers(0, 20), st.integers(0, 30), st.just(2))
    return shape.flatmap(lambda s: arrays(np.float32, s, elements=st.sampled_from(levels)))


@needs_kernel
@QUICK
@given(
    probability_maps(),
    st.sampled_from([0.5, 0.55]),
    st.integers(0, 12),
    st.integers(1, 7),
    st.integers(1, 3),
)
def test_both_ways_agree_on_any_map(
    prob: Prob, threshold: float, min_area: int, size: int, zoom: int
) -> None:
    prob = prob.repeat(zoom, axis=0).repeat(zoom, axis=1)
    rules = RegionRules(threshold, min_area, size)
    one, other = (
        w.regions(prob[..., 0], prob[..., 1], rules=rules, scale=1.0)
        for w in (instances_compiled, instances_plain)
    )
    np.testing.assert_array_equal(one, other)


@needs_kernel
@pytest.mark.parametrize("rules", [GLAND_RULES, LUMEN_RULES])
@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0, 1.5])
def test_both_ways_agree_on_smooth_maps(rules: RegionRules, scale: float) -> None:
    for seed in range(3):
        prob = smooth_maps(seed, 14, (260, 320))
        one, other = (
            w.regions(prob[..., 0], prob[..., 1], rules=rules, scale=scale)
            for w in (instances_compiled, instances_plain)
        )
        assert one.max() > 0
        np.testing.assert_array_equal(one, other)


def test_gland_is_dilated_by_what_training_eroded(way: str) -> None:
    """A 40 x 40 square grows by the 10 px ellipse, 4 up and left, 5 down and right."""
    prob = np.zeros((120, 120, 2), np.float32)
    prob[40:80, 40:80, 0] = 0.9
    prob[55:60, 55:60, 0] = 0.0  # a hole: filled
    rows, columns = np.nonzero(gland_instances(prob))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (36, 84, 36, 84)
    assert gland_instances(prob)[57, 57] == 1


def test_object_near_the_border_is_not_dilated_beyond_its_box(way: str) -> None:
    prob = np.zeros((120, 120, 2), np.float32)
    prob[10:50, 40:80, 0] = 0.9  # 20 px of padding do not fit above
    rows, _ = np.nonzero(gland_instances(prob))
    assert rows.min() == 10
    assert rows.max() == 54


@pytest.mark.parametrize(("side", "n"), [(31, 0), (32, 1)])
def test_gland_area_limit_counts_equal_as_large_enough(side: int, n: int, way: str) -> None:
    """31 x 31 = 961 px is dropped; 32 x 32 less 24 px = 1000 px stays."""
    prob = np.zeros((120, 120, 2), np.float32)
    prob[40 : 40 + side, 40 : 40 + side, 0] = 0.9
    prob[40, 40:64, 0] = 0
    assert gland_instances(prob).max() == n


def test_contour_parts_touching_glands(way: str) -> None:
    prob = np.zeros((120, 120, 2), np.float32)
    prob[30:90, 20:100, 0] = 0.9
    prob[30:90, 59:61, 1] = 0.6
    assert gland_instances(prob).max() == 2


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (1, 1200), (1200, 1)])
def test_any_shape(shape: tuple[int, int], way: str) -> None:
    labels = gland_instances(np.full((*shape, 2), (0.9, 0.1), np.float32))
    assert labels.shape == shape
    assert (labels == (labels.size >= 1000)).all()


@needs_kernel
def test_wrong_calls_are_refused() -> None:
    find = kernel.compiled.regions
    plane, labels = np.ones((4, 5), np.float32), np.zeros((4, 5), np.int32)
    element = np.ones((3, 3), np.uint8)
    gap = np.array([[1, 0, 1], [1, 1, 1], [1, 1, 1]], np.uint8)
    empty = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]], np.uint8)
    for wrong in (
        gap,
        empty,
        element[:2].copy(),
        element[:0].copy(),
        np.ones((2000, 2000), np.uint8),
    ):
        with pytest.raises(ValueError, match="element"):
            find(plane, plane, labels, wrong, 0.5, 1)
    with pytest.raises(TypeError, match="2-D"):
        find(plane, plane, labels, element.astype(np.int32), 0.5, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shape"):
        find(plane, plane[:3], labels, element, 0.5, 1)
    with pytest.raises(ValueError, match="shape"):
        find(plane[:, :2], plane, labels, element, 0.5, 1)
    with pytest.raises(TypeError):
        find(plane, plane, labels, element)  # type: ignore[call-arg]
