"""Objects of a slide as GeoJSON that QuPath opens by drag and drop.

The form is that of QuPath's own export since 0.4: a UUID a feature, `objectType`, `classification`
with `name` and `color`, `measurements` as one object of names and numbers. Level-0 px.
"""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cerberus_bench.pictures.draw import rgb
from cerberus_bench.pictures.overlay import class_colour
from cerberus_bench.pictures.wording import class_name
from cerberus_bench.schema.files import whole
from cerberus_bench.slides.geoparquet import iter_objects, read_facts
from cerberus_bench.slides.objects import rings_of

OBJECT_TYPES = {"nuclei": "detection", "gland": "annotation", "lumen": "annotation"}
"""Task -> what it is in QuPath: detections are many and fixed, annotations few and editable."""
NAMESPACE = uuid5(NAMESPACE_URL, "cerberus-bench")
AREA, SCORE = "Area \N{MICRO SIGN}m^2", "Score"
"""Measurements, the first as QuPath calls it."""
COMPRESSION_LEVEL = 4
"""A third of the time of level 6, for 8 % more bytes."""

_COLUMNS = ("id", "task", "class", "score", "area_um2", "geometry")


def write_geojson(objects: Path, path: Path) -> int:
    """Write a feature collection, gzip-compressed, one feature a line; streamed.

    Equal objects give equal bytes: the UUID of an object follows from the slide's name and its id.

    Args:
        objects: a file of `write_objects`.
        path: file to write, `.geojson.gz`; it appears when it is complete.

    Returns:
        How many objects there are.

    Raises:
        DataError: `objects` is missing, damaged or of another kind.
    """
    slide = read_facts(objects).name
    n_objects = 0
    with whole(path) as part, part.open("wb") as file, _compressed(file) as stream:
        stream.write(b'{"type":"FeatureCollection","features":[')
        for rows in iter_objects(objects, columns=_COLUMNS):
            features = ",\n".join(_features(rows, slide))
            stream.write(f"{',' if n_objects else ''}\n{features}".encode())
            n_objects += len(rows)
        stream.write(b"\n]}\n")
    return n_objects


def uuid_of(slide: str, number: int) -> str:
    """The UUID of an object, the same in every format."""
    return str(uuid5(NAMESPACE, f"{slide}/{number}"))


def _compressed(file: Any) -> gzip.GzipFile:
    # neither name nor time in the header: equal content is equal bytes
    return gzip.GzipFile("", "wb", COMPRESSION_LEVEL, file, mtime=0)


def _features(rows: pa.Table, slide: str) -> list[str]:
    """Each row as a feature in JSON, put together column by column: there may be millions."""
    ids = [uuid_of(slide, number) for number in rows["id"].to_pylist()]
    kinds = map(_kind, rows["task"].to_pylist(), rows["class"].to_pylist())
    features: list[str] = _joined(
        '{"type":"Feature","id":"',
        pa.array(ids, pa.string()),
        '","geometry":{"type":"Polygon","coordinates":[[',
        _coordinates(rows["geometry"]),
        ']]},"properties":{',
        pa.array(kinds, pa.string()),
        f',"measurements":{{"{AREA}":',
        rows["area_um2"].cast(pa.string()),
        f',"{SCORE}":',
        rows["score"].cast(pa.string()),
        "}}}",
    ).to_pylist()
    return features


def _joined(*parts: pa.Array | str) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*parts, "")


def _coordinates(geometry: pa.ChunkedArray) -> pa.Array:
    """The ring of each polygon as `[x,y],[x,y],...`."""
    vertices, ends = rings_of(geometry)
    x, y = (pa.array(np.ascontiguousarray(axis)).cast(pa.string()) for axis in vertices.T)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, _joined("[", x, ",", y, "]")), ",")


@cache
def _kind(task: str, name: str | None) -> str:
    """The properties that all objects of a class share, as JSON without its braces."""
    properties: dict[str, Any] = {"objectType": OBJECT_TYPES.get(task, "annotation")}
    if name is not None:
        colour = list(rgb(class_colour(task, name)))
        properties["classification"] = {"name": class_name(task, name), "color": colour}
    return json.dumps(properties, separators=(",", ":"))[1:-1]
