"""Objects of a slide as an annotation store of TIAToolbox."""

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from slide_objects import facts, toy_objects

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import ONTOLOGY
from cerberus_bench.slides import geoparquet
from cerberus_bench.slides.geojson import uuid_of
from cerberus_bench.slides.geoparquet import read_objects, write_objects
from cerberus_bench.slides.sqlite_store import write_sqlite


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "objects.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geoparquet, "GROUP_ROWS", 500)
        write_objects([toy_objects()], path, slide=facts())
    return path


@pytest.fixture
def store(objects: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    assert write_sqlite(objects, tmp_path / "objects.db") == len(read_objects(objects))
    with closing(sqlite3.connect(tmp_path / "objects.db")) as connection:
        yield connection


def decoded(blob: bytes) -> list[tuple[float, float]]:
    """The ring of a compressed polygon in well-known binary."""
    content = zlib.decompress(blob)
    order, kind, n_rings, n_points = struct.unpack_from("<BIII", content)
    assert (order, kind, n_rings) == (1, 3, 1)
    assert len(content) == 13 + 16 * n_points
    return [struct.unpack_from("<dd", content, 13 + 16 * i) for i in range(n_points)]


def area(ring: list[tuple[float, float]]) -> float:
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))) / 2


def test_tables_are_those_of_the_format(store: sqlite3.Connection) -> None:
    metadata = dict(store.execute("SELECT key, value FROM metadata").fetchall())
    assert {key: json.loads(value) for key, value in metadata.items()} == {
        "version": "1.0.1",
        "compression": "zlib",
        "compression_level": 9,
    }
    columns = [row[1] for row in store.execute("PRAGMA table_info(annotations)")]
    assert columns == ["id", "key", "objtype", "cx", "cy", "geometry", "properties", "area"]
    columns = [row[1] for row in store.execute("PRAGMA table_info(rtree)")]
    assert columns == ["id", "min_x", "max_x", "min_y", "max_y"]
    assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_every_object_is_an_annotation(store: sqlite3.Connection, objects: Path) -> None:
    found = store.execute("SELECT * FROM annotations ORDER BY id").fetchall()
    rows = read_objects(objects).to_pylist()
    assert len(found) == len(rows) > 1000
    for annotation, row in zip(found, rows, strict=True):
        number, key, kind, x, y, blob, properties, area_px = annotation
        ring = [(v["x"], v["y"]) for v in row["geometry"][0]]
        assert (number, key, kind) == (row["id"], uuid_of("toy", row["id"]), "Polygon")
        assert (x, y) == (row["x"], row["y"])
        assert decoded(blob) == ring
        assert area_px == area(ring)
        assert json.loads(properties) == {
            "type": ONTOLOGY[row["task"]][row["class"]].name,
            "task": row["task"],
            "prob": pytest.approx(row["score"], abs=1e-4),
            "area_um2": pytest.approx(row["area_um2"], abs=1e-3),
        }


def test_a_box_finds_what_lies_in_it(store: sqlite3.Connection, objects: Path) -> None:
    query = (
        "SELECT annotations.id FROM annotations, rtree WHERE annotations.id == rtree.id"
        " AND max_x >= 1000 AND min_x <= 1500 AND max_y >= 800 AND min_y <= 1200"
    )
    found = sorted(number for (number,) in store.execute(query))
    assert found == read_objects(objects, (1000, 800, 1500, 1200))["id"].to_pylist()
    assert len(found) > 3


def test_a_class_is_found_by_its_name(store: sqlite3.Connection, objects: Path) -> None:
    query = "SELECT count(*) FROM annotations WHERE json_extract(properties, '$.type') = ?"
    names = read_objects(objects)["class"].to_pylist()
    assert store.execute(query, ("Plasma cell",)).fetchone() == (names.count("plasma"),)


def test_it_repeats_and_an_empty_slide_has_a_store(objects: Path, tmp_path: Path) -> None:
    for name in ("a.db", "b.db"):
        write_sqlite(objects, tmp_path / name)
    assert (tmp_path / "a.db").read_bytes() == (tmp_path / "b.db").read_bytes()
    write_objects([], tmp_path / "empty.parquet", slide=facts())
    assert write_sqlite(tmp_path / "empty.parquet", tmp_path / "empty.db") == 0
    with pytest.raises(DataError, match=r"nothing\.parquet"):
        write_sqlite(tmp_path / "nothing.parquet", tmp_path / "nothing.db")
    assert not list(tmp_path.glob("*.part"))
