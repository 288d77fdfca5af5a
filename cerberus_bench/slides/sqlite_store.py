"""Objects of a slide as an annotation store of TIAToolbox: SQLite, to be opened by `SQLiteStore`.

The tables are those of version 1.0.1 of its format: geometries as well-known binary, compressed by
zlib, an R-tree over their boxes, properties as JSON. Positions are level-0 px.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cerberus_bench.pictures.wording import class_name
from cerberus_bench.schema.files import whole
from cerberus_bench.slides.geojson import uuid_of
from cerberus_bench.slides.geoparquet import iter_objects, read_facts
from cerberus_bench.slides.objects import rings_of
from cerberus_bench.slides.wkb import polygons_wkb

COMPRESSION_LEVEL = 9
METADATA = {"version": "1.0.1", "compression": "zlib", "compression_level": COMPRESSION_LEVEL}

_TABLES = (
    "CREATE TABLE metadata (key TEXT UNIQUE, value TEXT)",
    "CREATE VIRTUAL TABLE rtree USING rtree(id, min_x, max_x, min_y, max_y)",
    "CREATE TABLE annotations(id INTEGER PRIMARY KEY, key TEXT UNIQUE, objtype TEXT,"
    " cx FLOAT NOT NULL, cy FLOAT NOT NULL, geometry BLOB, properties TEXT, area FLOAT NOT NULL)",
)


def write_sqlite(objects: Path, path: Path) -> int:
    """Write a store; it appears when it is complete.

    Properties of an object are `type` (its class, as TIAToolbox colours it; the task where it has
    none), `task`, `prob` (score) and `area_um2`.

    Args:
        objects: a file of `write_objects`.
        path: file to write, `.db`.

    Returns:
        How many objects there are.

    Raises:
        DataError: `objects` is missing, damaged or of another kind.
    """
    slide = read_facts(objects).name
    n_objects = 0
    with whole(path) as part, closing(sqlite3.connect(part)) as store:
        store.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        for table in _TABLES:
            store.execute(table)
        store.executemany(
            "INSERT INTO metadata VALUES (?, ?)",
            [(key, json.dumps(value)) for key, value in METADATA.items()],
        )
        for rows in iter_objects(objects):
            store.executemany(
                "INSERT INTO annotations VALUES (?, ?, 'Polygon', ?, ?, ?, ?, ?)",
                _annotations(rows, slide),
            )
            store.executemany("INSERT INTO rtree VALUES (?, ?, ?, ?, ?)", _boxes(rows))
            n_objects += len(rows)
        store.commit()
    return n_objects


def _annotations(rows: pa.Table, slide: str) -> Iterator[tuple[Any, ...]]:
    names = ("id", "task", "class", "score", "area_um2", "x", "y")
    columns = [rows[name].to_pylist() for name in names]
    areas_px = _areas_px(*rings_of(rows["geometry"])).tolist()
    shapes = zip(polygons_wkb(rows["geometry"]), areas_px, strict=True)
    for number, task, name, score, area_um2, x, y, (geometry, area_px) in zip(
        *columns, shapes, strict=True
    ):
        properties = {
            "type": class_name(task, name or task),
            "task": task,
            "prob": round(score, 4),
            "area_um2": round(area_um2, 3),
        }
        text = json.dumps(properties, separators=(",", ":"))
        blob = zlib.compress(geometry, COMPRESSION_LEVEL)
        yield number, uuid_of(slide, number), x, y, blob, text, area_px


def _areas_px(vertices: NDArray[np.float64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
    """Area of each closed ring, level-0 px."""
    x, y = vertices.T
    cross = np.append(x[:-1] * y[1:] - x[1:] * y[:-1], 0)
    cross[ends - 1] = 0  # from one ring to the next
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(ends)]
    return np.asarray(np.abs(np.add.reduceat(cross, starts)) / 2, np.float64)


def _boxes(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    box = rows["bbox"].combine_chunks()
    sides = [box.field(side).to_pylist() for side in ("xmin", "xmax", "ymin", "ymax")]
    return zip(rows["id"].to_pylist(), *sides, strict=True)
