"""Glands and lumina joined over seams, against the published rules on the whole slide."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from region_maps import Maps, random_maps, write_shards
from scipy import ndimage

from cerberus_bench.model_zoo.instances import (
    gland_instances,
    instance_table,
    lumen_instances,
    lumina_inside_glands,
    pixel_outlines,
)
from cerberus_bench.schema.tasks import GLAND, LUMEN, NUCLEI
from cerberus_bench.slides import masks
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.grid import WorkGrid
from cerberus_bench.slides.regions import half_means
from cerberus_bench.slides.seams import Region, find_regions, join_regions

TASKS = ("gland", "lumen")


def half_maps(maps: Maps) -> Maps:
    """The map of the whole slide at 1 mpp; an odd last row or column belongs to no px."""
    return {
        name: half_means(values[: len(values) // 2 * 2, : values.shape[1] // 2 * 2])
        for name, values in maps.items()
    }


def whole_slide(maps: Maps) -> dict[str, tuple[NDArray[np.int32], NDArray[np.intp] | None]]:
    """Label map and type map by task, by the functions for images."""
    half = half_maps(maps)
    glands = gland_instances(half["gland.instance"][..., 1:], scale=0.5)
    lumina = lumen_instances(half["lumen.instance"][..., 1:], scale=0.5)
    return {
        "gland": (glands, half["gland.type"].argmax(axis=2)),
        "lumen": (lumina_inside_glands(lumina, glands), None),
    }


def check_equal(
    found: list[Region], labels: NDArray[np.int32], types: NDArray[np.intp] | None
) -> None:
    found = sorted(found, key=lambda region: region.id)
    table = instance_table(labels, types)
    assert [region.id for region in found] == table.id.tolist()
    areas = np.bincount(labels.ravel(), minlength=labels.max() + 1)
    assert [region.area for region in found] == areas[table.id].tolist()
    expected = np.ones(len(table)) if types is None else table.type
    assert [region.type for region in found] == expected.tolist()
    centroids = [region.centroid for region in found]
    np.testing.assert_allclose(np.array(centroids).reshape(-1, 2), table.centroid, atol=1e-9)
    for region, outline in zip(found, pixel_outlines(labels, table.starts_xy), strict=True):
        np.testing.assert_array_equal(region.outline, outline)


def join(files: list[Path], maps: Maps) -> dict[str, list[Region]]:
    height, width = next(iter(maps.values())).shape[:2]
    found: dict[str, list[Region]] = {task: [] for task in TASKS}
    for task, region in find_regions(files, TASKS, (height // 2, width // 2)):
        found[task].append(region)
    return found


def check_slide(maps: Maps, files: list[Path], seen: Maps | None = None) -> dict[str, list[Region]]:
    """Compare with the whole map, or with what of it is in the shards."""
    found = join(files, maps)
    for task, (labels, types) in whole_slide(seen or maps).items():
        check_equal(found[task], labels, types)
    return found


@pytest.mark.parametrize("side", [96, 130, 210, 1024])
@pytest.mark.parametrize("seed", [0, 1])
def test_objects_are_those_of_the_whole_map(tmp_path: Path, seed: int, side: int) -> None:
    """Odd sizes; with shards of 210 px the last row of shards has a single row of work px."""
    maps = random_maps(seed, (421 + seed, 510 - seed))
    found = check_slide(maps, write_shards(maps, tmp_path, side))
    assert min(len(found[task]) for task in TASKS) > 5


@pytest.mark.parametrize("side", [64, 200])
def test_objects_larger_than_a_band(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    monkeypatch.setattr(masks, "BAND_PX", 600)
    maps = random_maps(5, (400, 512))
    check_slide(maps, write_shards(maps, tmp_path, side))


def test_missing_shards_are_background(tmp_path: Path) -> None:
    maps, side = random_maps(7, (400, 500)), 100
    files = write_shards(maps, tmp_path, side, left_out=lambda number: number % 3 == 1)
    seen = {name: values.copy() for name, values in maps.items()}
    for number in range(1, 20, 3):
        y, x = number // 5 * side, number % 5 * side
        for values in seen.values():
            values[y : y + side, x : x + side] = (1, 0, 0)
    check_slide(maps, files, seen)
    assert join([], maps) == {"gland": [], "lumen": []}


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[Any]]:
    with np.load(Path(__file__).parent / "golden" / "postprocessing.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize("side", [128, 300])
def test_published_objects_over_seams(
    tmp_path: Path, golden: dict[str, NDArray[Any]], side: int
) -> None:
    maps = {}
    for task in TASKS:
        inner, contour = np.moveaxis(golden[f"{task}_prob"] / np.float32(255), 2, 0)
        prob = np.stack([1 - inner - contour, inner, contour], axis=2)
        maps[f"{task}.instance"] = prob.repeat(2, axis=0).repeat(2, axis=1)
    files = write_shards(maps, tmp_path, side)
    shape = golden["gland_map"].shape
    check_equal([r for _, r in find_regions(files, ["gland"], shape)], golden["gland_map"], None)
    lumina = [r for _, r in find_regions(files, ["lumen"], shape)]
    check_equal(lumina, golden["lumen_map"], None)


def drawing(gland: NDArray[np.bool_], lumen: NDArray[np.bool_]) -> Maps:
    """Certain maps of a drawing at 1 mpp; glands are of class 2 in the right half, else 1."""
    types = np.where(np.arange(gland.shape[1]) >= gland.shape[1] // 2, 2, 1)
    indices = {
        "gland.instance": gland.astype(int),
        "gland.type": np.broadcast_to(types, gland.shape),
        "lumen.instance": lumen.astype(int),
    }
    whole = {name: np.eye(3, dtype=np.float32)[index] for name, index in indices.items()}
    return {name: value.repeat(2, axis=0).repeat(2, axis=1) for name, value in whole.items()}


def test_object_over_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comb over all shards, and a ring whose filling later glands inside it show through."""
    monkeypatch.setattr(masks, "BAND_PX", 3000)
    gland, lumen = np.zeros((2, 300, 320), bool)
    gland[5:10, 2:318] = True
    gland[5:140, 4:310:24] = True
    gland[160:290, 20:300] = True
    gland[165:285, 25:295] = False
    gland[200:240, 60:110] = True
    gland[202:238, 116:160] = True  # grows into the one before
    lumen[190:270, 10:200] = True  # cut where it leaves the ring
    lumen[100:115, 200:300] = True  # cut into pieces by the comb
    maps = drawing(gland, lumen)
    found = check_slide(maps, write_shards(maps, tmp_path, side=64))
    assert [len(found[task]) for task in TASKS] == [4, 2]
    comb, ring, *_ = sorted(found["gland"], key=lambda region: region.id)
    assert (comb.type, ring.type) == (1, 2)
    assert ring.area < 130 * 280 - 40 * 50


def test_object_over_four_shards_is_one(tmp_path: Path) -> None:
    gland = np.zeros((128, 128), bool)
    gland[50:80, 45:75] = True
    maps = drawing(gland, gland & False)
    (region,) = check_slide(maps, write_shards(maps, tmp_path, side=128))["gland"]
    assert region.score == 1
    assert region.area == 34 * 34 - 4 * 2  # dilated by 2 px, 2 px cut at each corner
    assert region.centroid == (59.5, 64.5)


def test_grown_neighbours_overlap_at_a_seam(tmp_path: Path) -> None:
    """Two glands 2 px apart on both sides of a seam: both grow over it, the later one is seen."""
    gland = np.zeros((128, 128), bool)
    gland[40:80, 40:63] = gland[42:82, 65:90] = True
    maps = drawing(gland, gland & False)
    first, second = check_slide(maps, write_shards(maps, tmp_path, side=128))["gland"]
    assert first.outline[:, 0].max() == 65
    assert second.outline[:, 0].min() == 63
    assert first.area < second.area


def test_score_is_the_mean_over_the_component(tmp_path: Path) -> None:
    maps = random_maps(2, (300, 300))
    half = half_maps(maps)["gland.instance"]
    labels, _ = ndimage.label((half[..., 1] > np.float32(0.55)) & (half[..., 2] <= 0.5))
    found = join(write_shards(maps, tmp_path, 128), maps)["gland"]
    large = [i for i in range(1, labels.max() + 1) if np.count_nonzero(labels == i) >= 250]
    for region in found:
        inside = labels == large[region.id - 1]
        assert abs(region.score - (1 - half[..., 0])[inside].mean()) < 1 / 255
    assert found


def test_rows_are_in_level_0_px(tmp_path: Path) -> None:
    """A slide at 0.25 mpp: a px at 1 mpp is 4 x 4 px of level 0, and its centre is at 2."""
    gland = np.zeros((128, 128), bool)
    gland[50:80, 45:75] = True
    maps = drawing(gland, gland & False)
    files = write_shards(maps, tmp_path, side=128)
    spaces = {"gland": GLAND.labels, "lumen": LUMEN.labels, "nuclei": NUCLEI.labels}
    facts = SlideFacts("slide", 512, 512, 0.25, 0.25, "model", None, 0.5, spaces)
    (table,) = join_regions(files, WorkGrid.of((512, 512), 0.25, 0.5), facts)
    (row,) = table.to_pylist()
    assert row["task"] == "gland"
    assert row["class"] == "gland"
    assert row["area_um2"] == 34 * 34 - 4 * 2
    assert (row["x"], row["y"]) == (60 * 4, 65 * 4)
    xs = [vertex["x"] for vertex in row["geometry"][0]]
    assert (min(xs), max(xs)) == (43 * 4, 77 * 4)


def test_files_come_in_raster_order(tmp_path: Path) -> None:
    files = write_shards(random_maps(1, (128, 128)), tmp_path, side=64)
    with pytest.raises(ValueError, match="raster order"):
        next(find_regions(files[::-1], TASKS, (64, 64)))
