"""From maps to instances: the published results, and small cases worked by hand."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from instance_maps import (
    mask_and_markers,
    needs_skimage_026,
    same_partition,
    smooth_maps,
    way,
)
from numpy.typing import NDArray
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
    golden: Golden, task: str, split: Callable[..., NDArray[np.int32]], way: str
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


@needs_skimage_026
@pytest.mark.parametrize("seed", range(6))
def test_random_nuclei_agree_with_the_plain_rules(seed: int, way: str) -> None:
    prob = smooth_maps(seed, sigma=1.5)
    mask, markers = mask_and_markers(prob)
    expected = watershed(-prob[..., 0], markers, mask=mask)
    assert expected.max() > 20
    assert same_partition(nuclei_instances(prob), expected)


def test_small_components_are_dropped_strictly(way: str) -> None:
    """A 7 x 7 mask is eroded to 5 x 5 = 25 px; the other two give nothing."""
    prob = np.zeros((40, 40, 2), np.float32)
    prob[5:12, 5:12, 0] = 0.9  # marker of 49 px
    prob[20:22, 20:22, 0] = 0.9  # marker of 4 px, but the eroded mask is empty
    prob[30:37, 5:12, 1] = 0.9  # contour only: mask without a marker
    labels = nuclei_instances(prob)
    assert labels.max() == 1
    assert np.count_nonzero(labels) == 25
    assert labels[6:11, 6:11].all()


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
