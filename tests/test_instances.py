"""From maps to instances: the published results, and small cases worked by hand."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from instance_maps import (
    large_components,
    mask_and_markers,
    needs_skimage_026,
    same_partition,
    smooth_maps,
    way,
)
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from cerberus_bench.model_zoo import kernel
from cerberus_bench.model_zoo.instances import (
    gland_instances,
    instance_table,
    lumen_instances,
    lumina_inside_glands,
    nuclei_instances,
)
from cerberus_bench.schema.errors import DataError

__all__ = ["way"]

ROOT = Path(__file__).resolve().parent.parent

Golden = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(Path(__file__).parent / "golden" / "postprocessing.npz") as file:
        return {name: file[name] for name in file.files}


def probabilities(golden: Golden, task: str) -> NDArray[np.float32]:
    return np.asarray(golden[f"{task}_prob"] / np.float32(255), dtype=np.float32)


def test_kernel_is_built() -> None:
    turned_off = os.environ.get(kernel.OFF) == "1"
    assert kernel.BUILT or turned_off, (
        "the kernel is not built: install with a C compiler (pip install -e .), or set"
        f" {kernel.OFF}=1 to test without it"
    )
    assert (kernel.BUILT and not turned_off) == kernel.USED


def test_the_variable_turns_the_kernel_off() -> None:
    code = "from cerberus_bench.model_zoo.instances import _WAY; print(_WAY.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, kernel.OFF: "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "cerberus_bench.model_zoo.instances_plain"


def test_nuclei_are_the_published_ones(golden: Golden, way: str) -> None:
    labels = nuclei_instances(probabilities(golden, "nuclei"))
    assert labels.dtype == np.int32
    assert same_partition(labels, golden["nuclei_map"])


@pytest.mark.parametrize(
    ("task", "split"), [("gland", gland_instances), ("lumen", lumen_instances)]
)
def test_glands_and_lumina_are_the_published_ones(
    golden: Golden, task: str, split: Callable[..., NDArray[np.int32]]
) -> None:
    prob = probabilities(golden, task)
    assert same_partition(split(prob, scale=0.5), golden[f"{task}_map"])
    assert same_partition(split(prob), golden[f"{task}_map_ds1"])


def test_table_is_the_published_one(golden: Golden, way: str) -> None:
    table = instance_table(golden["nuclei_map"], golden["nuclei_type"])
    np.testing.assert_array_equal(table.id, golden["table_id"])
    np.testing.assert_array_equal(table.box, golden["table_box"])
    np.testing.assert_allclose(table.centroid, golden["table_centroid_xy"], atol=1e-6, rtol=0)
    np.testing.assert_array_equal(table.type, golden["table_type"])
    np.testing.assert_allclose(table.type_prob, golden["table_type_prob"], atol=1e-12)
    np.testing.assert_array_equal([len(c) for c in table.contours], golden["contour_len"])
    np.testing.assert_array_equal(np.concatenate(table.contours), golden["contour_xy"])


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


@needs_skimage_026
@pytest.mark.parametrize("seed", range(6))
def test_random_nuclei_agree_with_the_plain_rules(seed: int, way: str) -> None:
    prob = smooth_maps(seed, sigma=1.5)
    mask, markers = mask_and_markers(prob)
    expected = watershed(-prob[..., 0], markers, mask=mask)
    assert expected.max() > 20
    assert same_partition(nuclei_instances(prob), expected)


@pytest.mark.parametrize("seed", range(6))
def test_random_regions_agree_with_the_plain_rules(seed: int) -> None:
    coarse = smooth_maps(seed, sigma=7)
    assert plain_regions(coarse, 0.55, 250, 5).max() > 1
    for scale in (0.5, 1.0):
        area, size = int(1000 * scale**2), int(10 * scale)
        expected = plain_regions(coarse, 0.55, area, size)
        assert same_partition(gland_instances(coarse, scale), expected)
        area, size = int(150 * scale**2), int(2 * scale)
        expected = plain_regions(coarse, 0.5, area, size)
        assert same_partition(lumen_instances(coarse, scale), expected)


def test_small_components_are_dropped_strictly() -> None:
    """A 7 x 7 mask is eroded to 5 x 5 = 25 px; the other two give nothing."""
    prob = np.zeros((40, 40, 2), np.float32)
    prob[5:12, 5:12, 0] = 0.9  # marker of 49 px
    prob[20:22, 20:22, 0] = 0.9  # marker of 4 px, but the eroded mask is empty
    prob[30:37, 5:12, 1] = 0.9  # contour only: mask without a marker
    labels = nuclei_instances(prob)
    assert labels.max() == 1
    assert np.count_nonzero(labels) == 25
    assert labels[6:11, 6:11].all()


def test_gland_is_dilated_by_what_training_eroded() -> None:
    """A 40 x 40 square grows by the 10 px ellipse, 4 up and left, 5 down and right."""
    prob = np.zeros((120, 120, 2), np.float32)
    prob[40:80, 40:80, 0] = 0.9
    prob[55:60, 55:60, 0] = 0.0  # a hole: filled
    rows, columns = np.nonzero(gland_instances(prob))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (36, 84, 36, 84)
    assert gland_instances(prob)[57, 57] == 1


def test_object_near_the_border_is_not_dilated_beyond_its_box() -> None:
    prob = np.zeros((120, 120, 2), np.float32)
    prob[10:50, 40:80, 0] = 0.9  # 20 px of padding do not fit above
    rows, _ = np.nonzero(gland_instances(prob))
    assert rows.min() == 10
    assert rows.max() == 54


@pytest.mark.parametrize(("side", "n"), [(31, 0), (32, 1)])
def test_gland_area_limit_counts_equal_as_large_enough(side: int, n: int) -> None:
    """31 x 31 = 961 px is dropped; 32 x 32 less 24 px = 1000 px stays."""
    prob = np.zeros((120, 120, 2), np.float32)
    prob[40 : 40 + side, 40 : 40 + side, 0] = 0.9
    prob[40, 40:64, 0] = 0
    assert gland_instances(prob).max() == n


def test_contour_parts_touching_glands() -> None:
    prob = np.zeros((120, 120, 2), np.float32)
    prob[30:90, 20:100, 0] = 0.9
    prob[30:90, 59:61, 1] = 0.6
    assert gland_instances(prob).max() == 2


def test_lumina_outside_glands_are_removed_pixel_by_pixel() -> None:
    lumen = np.array([[1, 1, 0, 2]], np.int32)
    gland = np.array([[0, 7, 7, 0]], np.int32)
    assert lumina_inside_glands(lumen, gland).tolist() == [[0, 1, 0, 0]]


def test_table_by_hand(way: str) -> None:
    labels = np.zeros((6, 8), np.int64)
    labels[1:4, 2:5] = 9
    labels[5, 0] = 4  # one point: left out
    labels[4:6, 6:8] = 2_000_000_000  # far beyond the number of pixels
    types = np.zeros((6, 8), np.uint8)
    types[1, 2:5] = 3
    types[2, 2:4] = 5
    table = instance_table(labels, types)
    assert len(table) == 2
    assert table.id.tolist() == [9, 2_000_000_000]
    assert table.box.tolist() == [[1, 2, 4, 5], [4, 6, 6, 8]]
    assert table.centroid.tolist() == [[3, 2], [6.5, 4.5]]
    assert table.type.tolist() == [3, 0]
    np.testing.assert_allclose(table.type_prob, [3 / (9 + 1e-6), 4 / (4 + 1e-6)])
    assert table.contours[1].tolist() == [[6, 4], [6, 5], [7, 5], [7, 4]]
    assert instance_table(labels).type.tolist() == [0, 0]


def test_empty_maps(way: str) -> None:
    assert nuclei_instances(np.zeros((16, 16, 2), np.float32)).max() == 0
    assert gland_instances(np.zeros((16, 16, 2), np.float32)).max() == 0
    table = instance_table(np.zeros((4, 4), np.int32), np.zeros((4, 4), np.int32))
    assert len(table) == 0
    assert table.box.shape == (0, 4)
    assert table.centroid.shape == (0, 2)


def test_wrong_use() -> None:
    with pytest.raises(DataError, match=r"\(H, W, 2\)"):
        nuclei_instances(np.zeros((8, 8, 3), np.float32))
    with pytest.raises(DataError, match="same height"):
        instance_table(np.zeros((8, 8), np.int32), np.zeros((4, 4), np.int32))
    with pytest.raises(DataError, match="-1"):
        instance_table(np.full((8, 8), -1))
    with pytest.raises(DataError, match="scale"):
        lumen_instances(np.zeros((8, 8, 2), np.float32), scale=0.25)
