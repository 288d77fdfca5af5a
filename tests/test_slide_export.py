"""The verb `export` on a slide."""

import json
from pathlib import Path

import pytest
from slide_objects import facts, toy_objects
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.geojson import write_geojson
from cerberus_bench.slides.geoparquet import write_objects
from cerberus_bench.slides.sqlite_store import write_sqlite


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    folder = tmp_path / "slide"
    folder.mkdir()
    write_objects([toy_objects().slice(0, 100)], folder / "objects.parquet", slide=facts())
    return folder


@pytest.mark.parametrize(
    ("form", "name", "write"),
    [("qupath", "objects.geojson.gz", write_geojson), ("sqlite", "objects.db", write_sqlite)],
)
def test_formats_of_slides(slide: Path, tmp_path: Path, form: str, name: str, write) -> None:
    arguments = ["export", str(slide), "--format", form, "--json"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    found = json.loads(done.stdout)
    assert found == {"out": str(slide / name), "format": form, "objects": 100}
    write(slide / "objects.parquet", tmp_path / "expected")
    assert (slide / name).read_bytes() == (tmp_path / "expected").read_bytes()
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, DataError)
    assert "exists" in str(again.exception)
    named = CliRunner().invoke(app, [*arguments[:-1], "--out", str(tmp_path / "new" / name)])
    assert "100 objects" in named.stdout
    assert (tmp_path / "new" / name).read_bytes() == (slide / name).read_bytes()


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("spatialdata", "spatialdata.zarr/shapes/nuclei/shapes.parquet"),
        ("ome-zarr", "labels.ome.zarr/labels/nuclei/0/c/0/0"),
    ],
)
def test_stores_that_are_folders(slide: Path, form: str, content: str) -> None:
    arguments = ["export", str(slide), "--format", form]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "100 objects" in done.stdout
    assert (slide / content).is_file()
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, DataError)


def test_what_is_no_slide_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(tmp_path), "--format", "sqlite"])
    assert isinstance(done.exception, DataError)
    assert "holds no objects.parquet" in str(done.exception)


def test_datasets_still_need_a_folder() -> None:
    done = CliRunner().invoke(app, ["export", "phantom", "--format", "coco"])
    assert done.exit_code == 2
    assert "--out" in done.output
