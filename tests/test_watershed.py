"""The flood between the markers of nuclei: its order, its ties, and what must not change it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from instance_maps import (
    mask_and_markers,
    needs_kernel,
    needs_skimage_026,
    slow_flood,
    smooth_maps,
    way,
)
from numpy.typing import NDArray
from skimage.segmentation import watershed

from cerberus_bench.model_zoo import instances_compiled, instances_plain, kernel
from cerberus_bench.model_zoo.instances import nuclei_instances
from cerberus_bench.model_zoo.watershed import flood
from cerberus_bench.schema.errors import DataError

__all__ = ["way"]

Prob = NDArray[np.float32]
QUICK = settings(max_examples=60, deadline=None)


def levels(prob: Prob, n: int) -> Prob:
    """The same map in n steps, so that many pixels are equal."""
    return (np.round(prob * n) / np.float32(n)).astype(np.float32)


def meets_ties(prob: Prob) -> bool:
    labels = np.zeros(prob.shape[:2], np.int32)
    return kernel.compiled.nuclei(prob[..., 0], prob[..., 1], labels, 8, 4, True, 1)


def probability_maps(n_levels: int) -> st.SearchStrategy[Prob]:
    """Maps whose two channels have few levels; mostly foreground, so that markers touch."""
    shape = st.tuples(st.integers(1, 14), st.integers(1, 14), st.just(2))
    level = st.integers(0, n_levels)
    maps = shape.flatmap(lambda s: arrays(np.int64, s, elements=level))
    return maps.map(lambda v: (0.3 + 0.4 * v / n_levels).astype(np.float32))


@QUICK
@given(probability_maps(5), st.sampled_from([True, False]), st.integers(1, 4))
@needs_kernel
def test_both_ways_agree_on_any_map(prob: Prob, published_ties: bool, threads: int) -> None:
    ways = (instances_compiled, instances_plain)
    one, other = (
        w.nuclei(prob[..., 0], prob[..., 1], published_ties=published_ties, threads=threads)
        for w in ways
    )
    np.testing.assert_array_equal(one, other)
    mask, markers = mask_and_markers(prob)
    assert flood(prob[..., 0], markers, mask, published_ties).ties == meets_ties(prob)


@QUICK
@given(probability_maps(4))
def test_equal_marker_pixels_come_in_raster_order(prob: Prob) -> None:
    mask, markers = mask_and_markers(prob)
    expected = slow_flood(prob[..., 0], markers, mask)
    np.testing.assert_array_equal(nuclei_instances(prob, ties="local"), expected)


@needs_skimage_026
@pytest.mark.parametrize("n_levels", [16, 64, 255])
@pytest.mark.parametrize("seed", range(4))
def test_equal_marker_pixels_come_in_scikit_images_order(
    seed: int, n_levels: int, way: str
) -> None:
    prob = levels(smooth_maps(seed, 1.5), n_levels)
    mask, markers = mask_and_markers(prob)
    expected = watershed(-prob[..., 0], markers, mask=mask)
    np.testing.assert_array_equal(nuclei_instances(prob), expected)


@needs_kernel
def test_ties_are_noticed_where_they_matter() -> None:
    """Two markers of one probability, and one pixel between them: either may have it."""
    prob = np.zeros((7, 15, 2), np.float32)
    prob[1:6, 1:14, 0] = 0.8
    prob[1:6, 7, 0] = 0.3
    prob[1:6, 7, 1] = 0.6
    assert meets_ties(prob)
    assert (nuclei_instances(prob, ties="local")[2:5, 7] == 1).all()
    prob[1:6, 8:14, 0] = 0.9  # now the right one comes first
    assert not meets_ties(prob)
    assert (nuclei_instances(prob)[2:5, 7] == 2).all()


@needs_kernel
def test_ties_of_later_pixels_are_noticed() -> None:
    """A gap of three: the pixels beside the markers are equal too, and meet in the middle."""
    prob = np.zeros((7, 17, 2), np.float32)
    prob[1:6, 1:16, 0] = 0.8
    prob[1:6, 7:10] = 0.3, 0.6
    assert meets_ties(prob)
    prob[1:6, 7, 0] = 0.4  # the left pixel is cheaper, and the middle one costs the same from both
    assert not meets_ties(prob)


@needs_kernel
def test_distinct_values_have_no_ties() -> None:
    assert not any(meets_ties(smooth_maps(seed, 1.5)) for seed in range(5))
    assert any(meets_ties(levels(smooth_maps(seed, 1.5), 64)) for seed in range(5))


def test_local_ties_hang_on_their_component_alone(way: str) -> None:
    prob = levels(smooth_maps(3, 1.5, (60, 60)), 16)
    prob[[0, -1]] = prob[:, [0, -1]] = 0
    alone = nuclei_instances(prob, ties="local")
    wide = levels(smooth_maps(4, 1.5, (90, 130)), 16)
    wide[20:82, 29:91] = 0
    wide[21:81, 30:90] = prob
    among = nuclei_instances(wide, ties="local")[21:81, 30:90]
    shift = np.where(among > 0, among.astype(int) - alone, 0)
    assert len(np.unique(shift[among > 0])) > 1  # ids differ ...
    pairs = np.unique(np.stack([alone.ravel(), among.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]  # ... only they


@pytest.mark.parametrize("ties", ["published", "local"])
def test_number_of_threads_changes_nothing(ties: Literal["published", "local"]) -> None:
    for prob in (smooth_maps(5, 1.5), levels(smooth_maps(5, 1.5), 16)):
        one = nuclei_instances(prob, ties=ties, threads=1)
        for threads in (2, 3, 7, 64, 1000, -1):
            other = nuclei_instances(prob, ties=ties, threads=threads)
            np.testing.assert_array_equal(one, other)


def test_calls_from_many_threads() -> None:
    maps = [smooth_maps(seed, 1.5, (80, 90)) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(nuclei_instances, maps))
    for prob, labels in zip(maps, found, strict=True):
        np.testing.assert_array_equal(labels, nuclei_instances(prob))


ORDERS = {
    "columns": np.asfortranarray,
    "mirrored": lambda p: p[::-1, ::-1].copy()[::-1, ::-1],
    "channels first": lambda p: np.moveaxis(np.moveaxis(p, 2, 0).copy(), 0, 2),
    "last of three": lambda p: np.concatenate([p[..., :1], p], axis=2)[..., 1:],
    "other byte order": lambda p: p.astype(">f4"),
    "not aligned": lambda p: _misaligned(p),
    "double": lambda p: p.astype(np.float64),
}


def _misaligned(prob: Prob) -> Prob:
    out = np.ndarray(prob.shape, prob.dtype, np.empty(prob.nbytes + 1, np.uint8), offset=1)
    out[:] = prob
    return out


@pytest.mark.parametrize("order", ORDERS)
def test_any_memory_order(order: str, way: str) -> None:
    prob = smooth_maps(6, 1.5)
    np.testing.assert_array_equal(nuclei_instances(ORDERS[order](prob)), nuclei_instances(prob))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (1, 1), (1, 300), (300, 1), (2, 9)])
def test_any_shape(shape: tuple[int, int], way: str) -> None:
    full = np.full((*shape, 2), 0.9, np.float32)
    labels = nuclei_instances(full)
    assert labels.shape == shape
    assert labels.dtype == np.int32
    assert (labels == (1 if full[..., 0].size >= 8 else 0)).all()


def test_marker_outside_the_mask_and_mask_without_marker(way: str) -> None:
    prob = np.zeros((30, 30, 2), np.float32)
    prob[2:4, 2:10, 0] = 0.9  # 16 px; too thin for the eroded mask
    prob[10:20, 2:10, 1] = 0.9  # no marker
    prob[10:20, 14:24, 0] = 0.9
    labels = nuclei_instances(prob)
    assert set(np.unique(labels)) == {0, 2}
    assert (labels[11:19, 15:23] == 2).all()


def test_holes_of_markers_are_filled_with_what_lies_in_them(way: str) -> None:
    """Holes may nest: the ring, its hole, the island in it and the hole of that are one marker."""
    prob = np.zeros((30, 30, 2), np.float32)
    for inset, value in enumerate([0.9, 0.9, 0.9, 0.3, 0.3, 0.9, 0.9, 0.3]):
        prob[3 + inset : 27 - inset, 3 + inset : 27 - inset, 0] = value
        prob[3 + inset : 27 - inset, 3 + inset : 27 - inset, 1] = 0.9 - value
    assert set(np.unique(nuclei_instances(prob))) == {0, 1}
    prob[3:8, 15, 0] = 0.3  # a hole that is open is none
    prob[3:8, 15, 1] = 0.6
    assert set(np.unique(nuclei_instances(prob))) == {0, 1, 2}


def test_values_that_are_no_probabilities_do_no_harm(way: str) -> None:
    rng = np.random.default_rng(0)
    prob = rng.choice([-1e30, -1, 0, 0.4, 0.6, 1, 7, 1e30, np.inf], (40, 50, 2))
    labels = nuclei_instances(prob.astype(np.float32))
    assert labels.min() >= 0


def test_wrong_use_is_refused() -> None:
    endless = np.broadcast_to(np.float32(0), (2**16, 2**16, 2))
    with pytest.raises(DataError, match="Cut it"):
        nuclei_instances(endless)
    with pytest.raises(DataError, match="ties"):
        nuclei_instances(np.zeros((4, 4, 2), np.float32), ties="raster")  # type: ignore[arg-type]


@needs_kernel
def test_wrong_calls_are_refused() -> None:
    find = kernel.compiled.nuclei
    plane, labels = np.ones((4, 5), np.float32), np.zeros((4, 5), np.int32)
    rules = (8, 4, True, 1)
    with pytest.raises(TypeError, match="2-D"):
        find(plane.astype(np.float64), plane, labels, *rules)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="2-D"):
        find(plane, plane[0], labels, *rules)
    with pytest.raises(TypeError, match="2-D"):
        find(plane, plane, labels.astype(np.int64), *rules)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shape"):
        find(plane, plane[:3], labels, *rules)
    with pytest.raises(ValueError, match="contiguous"):
        find(plane.T, plane.T, labels.T, *rules)
    labels.flags.writeable = False
    with pytest.raises((ValueError, BufferError), match=r"read-only|writable"):
        find(plane, plane, labels, *rules)
    with pytest.raises(TypeError):
        find(plane, plane, labels)  # type: ignore[call-arg]
