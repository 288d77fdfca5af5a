"""Objects of a slide as a SpatialData store: groups of Zarr 3 with a GeoParquet file a task.

The layout is the one that spatialdata 0.7 writes: container 0.2 with shapes 0.3. Shapes are indexed
by object id. Their coordinates are level-0 px; the coordinate system `global` keeps these, and `um`
scales them to microns.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cerberus_bench.schema.files import whole
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.geoparquet import iter_objects, read_facts
from cerberus_bench.slides.objects import CATEGORY
from cerberus_bench.slides.wkb import polygons_wkb

CONTAINER_VERSION, SHAPES_VERSION = "0.2", "0.3"
SHAPES_NAME = "shapes.parquet"

_GEO = {
    "version": "1.0.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}},
}
"""Well-known binary rather than native polygons: more readers of such stores know it."""


def write_spatialdata(objects: Path, path: Path) -> int:
    """Write a store with an element of shapes for each task that has objects.

    Args:
        objects: a file of `write_objects`.
        path: folder to write, `.zarr`; it appears when it is complete.

    Returns:
        How many objects there are.

    Raises:
        DataError: `objects` is missing, damaged or of another kind.
    """
    facts = read_facts(objects)
    n_objects = 0
    with whole(path) as part:
        _write_group(part, {"spatialdata_attrs": {"version": CONTAINER_VERSION}})
        _write_group(part / "shapes", {})
        with ExitStack() as open_files:
            elements: dict[str, pq.ParquetWriter] = {}
            for rows in iter_objects(objects):
                tasks = rows["task"].cast(pa.string())
                for task in tasks.unique().to_pylist():
                    if task not in elements:
                        writer = _open_element(part / "shapes" / task, facts, task)
                        elements[task] = open_files.enter_context(writer)
                    mine = rows.filter(pc.equal(tasks, task))
                    elements[task].write_table(
                        _shapes(mine, facts.label_spaces[task].classes, elements[task].schema)
                    )
                n_objects += len(rows)
    return n_objects


def _write_group(folder: Path, attributes: dict[str, Any]) -> None:
    folder.mkdir()
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (folder / "zarr.json").write_text(json.dumps(group, indent=1) + "\n", encoding="utf-8")


def _open_element(folder: Path, facts: SlideFacts, task: str) -> pq.ParquetWriter:
    attributes = {
        "encoding-type": "ngff:shapes",
        "axes": ["x", "y"],
        "coordinateTransformations": [
            {"type": "identity", "input": _system("xy"), "output": _system("global")},
            {
                "type": "scale",
                "scale": [facts.mpp_x, facts.mpp_y],
                "input": _system("xy"),
                "output": _system("um"),
            },
        ],
        "spatialdata_attrs": {"version": SHAPES_VERSION},
    }
    _write_group(folder, attributes)
    return pq.ParquetWriter(folder / SHAPES_NAME, _schema(facts, task), compression="zstd")


def _system(name: str) -> dict[str, Any]:
    # spatialdata knows no other unit than this placeholder
    axes = [{"name": axis, "type": "space", "unit": "unit"} for axis in "xy"]
    return {"name": name, "axes": axes}


def _schema(facts: SlideFacts, task: str) -> pa.Schema:
    """Columns of an element, whose index is the id, as pandas understands it."""
    import pandas as pd

    classes = pd.Categorical([], list(facts.label_spaces[task].classes))
    columns = {"class": classes, "score": [], "area_um2": [], "geometry": []}
    frame = pd.DataFrame(columns, index=pd.Index([], dtype="int64", name="id"))
    types = {
        "class": CATEGORY,
        "score": pa.float32(),
        "area_um2": pa.float32(),
        "geometry": pa.binary(),
        "id": pa.int64(),
    }
    stored = frame.astype({"score": "float32", "area_um2": "float32", "geometry": "object"})
    metadata = {
        b"pandas": pa.Schema.from_pandas(stored).metadata[b"pandas"],
        b"geo": json.dumps(_GEO).encode(),
    }
    return pa.schema(list(types.items()), metadata=metadata)


def _shapes(rows: pa.Table, classes: Sequence[str], schema: pa.Schema) -> pa.Table:
    names = pa.array(classes, pa.string())
    codes = pc.index_in(rows["class"].cast(pa.string()).combine_chunks(), names)
    columns = {
        "class": pa.DictionaryArray.from_arrays(codes.cast(pa.int8()), names),
        "score": rows["score"],
        "area_um2": rows["area_um2"],
        "geometry": pa.array(polygons_wkb(rows["geometry"]), pa.binary()),
        "id": rows["id"],
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)
