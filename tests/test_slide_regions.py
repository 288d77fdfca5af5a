"""What a shard keeps of glands and lumina, against the same taken from the whole map."""

from pathlib import Path

import numpy as np
import pytest
from region_maps import boxes, random_maps, shard_maps, window
from scipy import ndimage

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.grid import Box
from cerberus_bench.slides.regions import RegionMaps, read_regions, read_types, write_regions


def test_shard_keeps_what_the_whole_map_says(tmp_path: Path) -> None:
    """An odd slide, 301 x 257 px: its last row and column belong to no half px."""
    maps = random_maps(3, (301, 257))
    core, half = Box(96, 160, 301, 257), Box(48, 80, 150, 128)
    write_regions(shard_maps(maps, core, kept_px=40).table(), tmp_path / "regions.parquet")
    for task, threshold in (("gland", 0.55), ("lumen", 0.5)):
        means = maps[f"{task}.instance"][:300, :256].reshape(150, 2, 128, 2, 3).mean(axis=(1, 3))
        prob = means[48:, 80:]
        expected, n = ndimage.label((prob[..., 1] > threshold) & (prob[..., 2] <= 0.5))
        assert n > 2
        found = read_regions(tmp_path / "regions.parquet", task)
        assert found is not None
        assert found.box == half
        np.testing.assert_array_equal(found.labels, expected)
        for i, part in enumerate(ndimage.find_objects(expected)):
            ys, xs = np.nonzero(expected == i + 1)
            assert found.areas[i] == len(ys)
            score = np.rint(255 * (1 - prob[ys, xs, 0].astype(np.float64))).sum()
            assert abs(found.sums[i] - score) <= 1  # a rounding of the mean at a half step
            assert found.firsts[i].tolist() == [ys[0] + 48, xs[0] + 80]
            (top, bottom), (left, right) = ((side.start, side.stop) for side in part)
            assert found.boxes[i].tolist() == [top + 48, left + 80, bottom + 48, right + 80]
    types = read_types(tmp_path / "regions.parquet", "gland")
    assert types is not None
    means = maps["gland.type"][:300, :256].reshape(150, 2, 128, 2, 3).mean(axis=(1, 3))
    assert types[0] == half
    np.testing.assert_array_equal(types[1], means[48:, 80:].argmax(axis=2))
    assert read_types(tmp_path / "regions.parquet", "lumen") is None


def test_bytes_do_not_depend_on_windows(tmp_path: Path) -> None:
    maps, core = random_maps(4, (192, 200)), Box(64, 0, 192, 128)
    files = [tmp_path / f"{kept_px}.parquet" for kept_px in (16, 40, 120)]
    for file, kept_px in zip(files, (16, 40, 120), strict=True):
        write_regions(shard_maps(maps, core, kept_px).table(), file)
    backwards = RegionMaps(core, tuple(maps))
    for kept in reversed(list(boxes(core, 40))):
        backwards.put(kept, window(maps, kept))
    write_regions(backwards.table(), tmp_path / "backwards.parquet")
    assert len({f.read_bytes() for f in [*files, tmp_path / "backwards.parquet"]}) == 1


def test_where_no_window_is_put_is_background(tmp_path: Path) -> None:
    maps, core = random_maps(5, (128, 128)), Box(0, 0, 128, 128)
    collected = RegionMaps(core, tuple(maps))
    collected.put(Box(0, 0, 64, 128), window(maps, Box(0, 0, 64, 128)))
    write_regions(collected.table(), tmp_path / "regions.parquet")
    found = read_regions(tmp_path / "regions.parquet", "gland")
    assert found is not None
    assert found.labels[:32].any()
    assert not found.labels[32:].any()


def test_tasks_are_those_of_the_model(tmp_path: Path) -> None:
    """Nuclei have no rows: a shard cuts them out itself."""
    maps = RegionMaps(Box(0, 0, 64, 64), ["nuclei.instance", "nuclei.type", "lumen.instance"])
    write_regions(maps.table(), tmp_path / "regions.parquet")
    assert read_regions(tmp_path / "regions.parquet", "gland") is None
    found = read_regions(tmp_path / "regions.parquet", "lumen")
    assert found is not None
    assert len(found.areas) == len(found.boxes) == len(found.firsts) == 0


def test_odd_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        RegionMaps(Box(0, 3, 64, 64), ["gland.instance"])
    with pytest.raises(ValueError, match="even"):
        RegionMaps(Box(0, 0, 64, 64), []).put(Box(0, 0, 31, 32), {})


@pytest.mark.parametrize("damage", ["cut", "bits"])
def test_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    maps, path = random_maps(6, (128, 128)), tmp_path / "regions.parquet"
    table = shard_maps(maps, Box(0, 0, 128, 128), kept_px=32).table()
    if damage == "bits":
        row = table.to_pylist()[0]
        row["areas"][0] += 1
        table = table.from_pylist([row], schema=table.schema)
    write_regions(table, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"regions.parquet is damaged.*predict again"):
        read_regions(path, "gland")
