"""Probability maps and a slow watershed for the tests of the post-processing."""

from importlib.metadata import version

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from cerberus_bench.model_zoo import instances, instances_compiled, instances_plain, kernel

needs_kernel = pytest.mark.skipif(
    not kernel.BUILT, reason=f"the kernel is not built, which {kernel.OFF}=1 allows"
)
needs_skimage_026 = pytest.mark.skipif(
    not version("scikit-image").startswith("0.26."),
    reason="the order of the published results is that of scikit-image 0.26",
)


@pytest.fixture(params=[pytest.param("compiled", marks=needs_kernel), "plain"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let maps become instances in each of the two ways."""
    chosen = {"compiled": instances_compiled, "plain": instances_plain}[request.param]
    monkeypatch.setattr(instances, "_WAY", chosen)
    return str(request.param)


def smooth_maps(
    seed: int, sigma: float, shape: tuple[int, int] = (150, 170)
) -> NDArray[np.float32]:
    """Random inner and contour maps with objects of many sizes, also at the borders."""
    noise = np.random.default_rng(seed).standard_normal((3, *shape))
    logits = ndimage.gaussian_filter(noise, (0, sigma, sigma)) * 4 * sigma
    prob = np.exp(logits) / np.exp(logits).sum(axis=0)
    return np.moveaxis(prob[1:], 0, 2).astype(np.float32)


def same_partition(a: NDArray[np.integer], b: NDArray[np.integer]) -> bool:
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    ids_match = len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    return ids_match and bool(((pairs[0] == 0) == (pairs[1] == 0)).all())


def large_components(mask: NDArray[np.bool_], min_area: int) -> NDArray[np.int32]:
    labels, n = ndimage.label(mask)
    for i in range(1, n + 1):
        if np.count_nonzero(labels == i) < min_area:
            labels[labels == i] = 0
    return labels


def mask_and_markers(
    prob: NDArray[np.float32],
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """The rules of the design, one sentence a line."""
    cross = ndimage.generate_binary_structure(2, 1)
    mask = ndimage.binary_erosion(prob.sum(axis=2) > 0.5, cross, border_value=1)
    markers = ndimage.binary_fill_holes(large_components(prob[..., 0] > 0.5, 4) > 0)
    return large_components(mask, 8) > 0, ndimage.label(markers)[0]


def slow_flood(
    inner: NDArray[np.float32], markers: NDArray[np.int32], mask: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Take the cheapest pixel, of equal ones the one that waits longest, until none waits."""
    labels = np.where(mask, markers, 0)
    waiting = [(-inner[y, x], 0, y, x) for y, x in np.argwhere(labels)]
    time = 0
    while waiting:
        cost, _, y, x = waiting.pop(waiting.index(min(waiting)))
        for v, u in ((y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)):
            inside = 0 <= v < mask.shape[0] and 0 <= u < mask.shape[1]
            if inside and mask[v, u] and not labels[v, u]:
                labels[v, u] = labels[y, x]
                time += 1
                waiting.append((max(-inner[v, u], cost), time, v, u))
    return labels
