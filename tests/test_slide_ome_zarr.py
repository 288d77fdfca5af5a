"""Objects of a slide as label images in OME-Zarr."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.measure import label
from slide_objects import as_table, ellipses, facts

from cerberus_bench.model_zoo.instances import instance_table
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides import ome_zarr
from cerberus_bench.slides.geoparquet import read_objects, write_objects
from cerberus_bench.slides.ome_zarr import write_ome_zarr

zarr = pytest.importorskip("zarr", reason="zarr is in the extra [zarr]")

SIZE = (700, 1100)


def whole_ellipses(task: str, n: int, radius: tuple[int, int]) -> NDArray[np.int32]:
    """A label map of objects in one piece, with at least three outline points."""
    labels, _ = ellipses(task, n, size=SIZE, radius=radius)
    pieces = label(labels, connectivity=1).astype(np.int32)
    kept = instance_table(pieces).id
    return np.where(np.isin(pieces, kept), pieces, 0).astype(np.int32)


@pytest.fixture(scope="module", params=[1.0, 2.0], ids=["same-mpp", "twice-as-fine"])
def painted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, NDArray[np.int32]], float]:
    """A store, the label maps that its objects come from, and level-0 px a px of them."""
    factor = float(request.param)
    maps = {
        "nuclei": whole_ellipses("nuclei", 300, (3, 12)),
        "gland": whole_ellipses("gland", 6, (40, 150)),
    }
    tables = [as_table(t, instance_table(m), m, factor=factor) for t, m in maps.items()]
    slide = facts(int(SIZE[1] * factor), int(SIZE[0] * factor), mpp=0.5 / factor)
    folder = tmp_path_factory.mktemp("slide")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ome_zarr, "CHUNK_PX", 128)
        patch.setattr(ome_zarr, "TILE_PX", 256)
        write_objects(tables, folder / "objects.parquet", slide=slide)
        n = write_ome_zarr(folder / "objects.parquet", folder / "labels.ome.zarr")
    assert n == sum(len(table) for table in tables)
    return folder, maps, factor


def test_pixels_are_those_of_the_objects(
    painted: tuple[Path, dict[str, NDArray[np.int32]], float],
) -> None:
    folder, maps, factor = painted
    rows = read_objects(folder / "objects.parquet")
    store = zarr.open_group(folder / "labels.ome.zarr", mode="r")
    for task, expected in maps.items():
        found = store[f"labels/{task}/0"][:]
        assert found.dtype == np.uint32
        assert ((found > 0) == (expected > 0)).all()
        pairs = np.unique(found.astype(np.int64) * 2**20 + expected)
        assert len(pairs) == len(np.unique(found)) == len(np.unique(expected)) > 5
        for row in rows.to_pylist()[::20]:
            if row["task"] == task:
                y, x = np.nonzero(found == row["id"])
                assert (x.mean() + 0.5) * factor == pytest.approx(row["x"], abs=0.01)
                assert (y.mean() + 0.5) * factor == pytest.approx(row["y"], abs=0.01)


def test_every_level_is_half_the_one_before(
    painted: tuple[Path, dict[str, NDArray[np.int32]], float],
) -> None:
    store = zarr.open_group(painted[0] / "labels.ome.zarr", mode="r")
    for task in painted[1]:
        levels = [store[f"labels/{task}/{i}"][:] for i in range(5)]
        assert [level.shape for level in levels] == [
            (700, 1100),
            (350, 550),
            (175, 275),
            (88, 138),
            (44, 69),
        ]
        for finer, coarser in pairwise(levels):
            assert (finer[::2, ::2] == coarser).all()


def test_metadata_is_that_of_the_specification(
    painted: tuple[Path, dict[str, NDArray[np.int32]], float],
) -> None:
    """OME-Zarr 0.5: axes in order, one dataset a level, scale before translation."""
    folder, _, factor = painted
    store = folder / "labels.ome.zarr"

    def ome(place: str) -> dict:
        document = json.loads((store / place / "zarr.json").read_text())
        assert (document["zarr_format"], document["node_type"]) == (3, "group")
        return dict(document["attributes"]["ome"])

    assert ome("") == {"version": "0.5"}
    assert ome("labels") == {"version": "0.5", "labels": ["nuclei", "gland", "lumen"]}
    image = ome("labels/gland")
    assert image["version"] == "0.5"
    assert image["image-label"] == {}
    (multiscale,) = image["multiscales"]
    assert multiscale["axes"] == [
        {"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"
    ]
    shift = (factor - 1) / 2 * 0.5 / factor
    assert multiscale["datasets"] == [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [0.5 * 2**level] * 2},
                {"type": "translation", "translation": [shift, shift]},
            ],
        }
        for level in range(5)
    ]
    array = json.loads((store / "labels" / "gland" / "0" / "zarr.json").read_text())
    assert array["dimension_names"] == ["y", "x"]
    assert array["fill_value"] == 0


def test_empty_places_take_no_files(tmp_path: Path) -> None:
    write_objects([], tmp_path / "objects.parquet", slide=facts())
    assert write_ome_zarr(tmp_path / "objects.parquet", tmp_path / "o.ome.zarr") == 0
    assert {p.name for p in (tmp_path / "o.ome.zarr").rglob("*") if p.is_file()} == {"zarr.json"}
    with pytest.raises(DataError, match=r"nothing\.parquet"):
        write_ome_zarr(tmp_path / "nothing.parquet", tmp_path / "n.ome.zarr")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(DataError, match=r"pip install 'cerberus-bench\[zarr\]'"):
        write_ome_zarr(tmp_path / "objects.parquet", tmp_path / "o.ome.zarr")
