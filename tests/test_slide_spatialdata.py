"""Objects of a slide as a SpatialData store."""

import json
from pathlib import Path
from typing import Any

import pytest
from slide_objects import SPACES, facts, toy_objects

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides import geoparquet
from cerberus_bench.slides.geoparquet import read_objects, write_objects
from cerberus_bench.slides.spatialdata import write_spatialdata


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "objects.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geoparquet, "GROUP_ROWS", 400)
        write_objects([toy_objects()], path, slide=facts())
    return path


@pytest.fixture(scope="module")
def store(objects: Path) -> Path:
    path = objects.with_name("spatialdata.zarr")
    assert write_spatialdata(objects, path) == len(read_objects(objects))
    return path


def group(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "zarr.json").read_text())
    assert (document["zarr_format"], document["node_type"]) == (3, "group")
    return dict(document["attributes"])


def system(name: str) -> dict[str, Any]:
    axes = [{"name": axis, "type": "space", "unit": "unit"} for axis in ("x", "y")]
    return {"name": name, "axes": axes}


def test_groups_are_those_that_spatialdata_writes(store: Path) -> None:
    """What version 0.7.3 wrote for shapes with these two transformations."""
    assert group(store) == {"spatialdata_attrs": {"version": "0.2"}}
    assert group(store / "shapes") == {}
    assert sorted(p.name for p in (store / "shapes").iterdir()) == [
        *("gland", "lumen", "nuclei", "zarr.json")
    ]
    for task in ("gland", "lumen", "nuclei"):
        assert group(store / "shapes" / task) == {
            "encoding-type": "ngff:shapes",
            "axes": ["x", "y"],
            "coordinateTransformations": [
                {"type": "identity", "input": system("xy"), "output": system("global")},
                {
                    "type": "scale",
                    "scale": [0.25, 0.25],
                    "input": system("xy"),
                    "output": system("um"),
                },
            ],
            "spatialdata_attrs": {"version": "0.3"},
        }


def test_shapes_are_the_objects_of_each_task(store: Path, objects: Path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas is in the extra [geo]")
    rows = read_objects(objects).to_pylist()
    for task in ("gland", "lumen", "nuclei"):
        frame = geopandas.read_parquet(store / "shapes" / task / "shapes.parquet")
        mine = [row for row in rows if row["task"] == task]
        assert (frame.index.name, frame.index.tolist()) == ("id", [row["id"] for row in mine])
        assert frame["class"].tolist() == [row["class"] for row in mine]
        assert tuple(frame["class"].cat.categories) == SPACES[task].classes
        assert frame["score"].tolist() == [row["score"] for row in mine]
        assert frame["area_um2"].tolist() == [row["area_um2"] for row in mine]
        for polygon, row in zip(frame.geometry, mine, strict=True):
            assert list(polygon.exterior.coords) == [(v["x"], v["y"]) for v in row["geometry"][0]]


def test_tasks_without_objects_have_no_element(tmp_path: Path) -> None:
    write_objects([], tmp_path / "objects.parquet", slide=facts())
    assert write_spatialdata(tmp_path / "objects.parquet", tmp_path / "o.zarr") == 0
    assert [p.name for p in (tmp_path / "o.zarr" / "shapes").iterdir()] == ["zarr.json"]
    with pytest.raises(DataError, match=r"nothing\.parquet"):
        write_spatialdata(tmp_path / "nothing.parquet", tmp_path / "n.zarr")
    assert not list(tmp_path.glob("n.*"))
