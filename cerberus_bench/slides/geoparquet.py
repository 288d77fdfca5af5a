"""All objects of a slide in one GeoParquet file, in an order that shards cannot change.

GeoParquet 1.1 (Open Geospatial Consortium) with native polygons and a bounding box column, row
groups along the Hilbert curve, so that a reader of a small box touches few of them. Positions are
level-0 px: `crs` is null, for a slide is no place on Earth.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.hilbert import hilbert_index
from cerberus_bench.slides.objects import OBJECTS, rings_of

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1, level-0 px."""

GROUP_ROWS = 32_768
"""Objects a row group."""
ZSTD_LEVEL = 9
CELL_BITS = 12
"""Objects are sorted one square of 2^12 level-0 px at a time: at most one object a pixel, in truth
some ten thousand, so memory is bounded whatever the slide."""

SIDES = ("xmin", "ymin", "xmax", "ymax")
BBOX = pa.struct([pa.field(side, pa.float32(), nullable=False) for side in SIDES])
FILE = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        *OBJECTS,
        pa.field("bbox", BBOX, nullable=False),
    ]
)
"""`OBJECTS` with ids 1..n in the order of the file, and the box of each outline."""

FACTS_KEY = b"cerberus_bench"
_CATEGORIES = ("task", "class")
_VERTICES = tuple(f"geometry.list.element.list.element.{axis}" for axis in "xy")
_SPLIT = ("score", "area_um2", "x", "y", *_VERTICES, *(f"bbox.{side}" for side in SIDES))
"""Columns stored byte by byte: the high bytes of neighbours are alike, which zstd likes."""
_FACTS = TypeAdapter(SlideFacts)


def write_objects(tables: Iterable[pa.Table], path: Path, *, slide: SlideFacts) -> int:
    """Write the objects of a slide; the file appears when it is complete.

    The bytes depend on the objects only, not on how they are shared out among tables: objects
    follow the Hilbert curve pixel by pixel, then y, x, task, area and box. Two objects of a task
    that share no pixel differ in one of these.

    Args:
        tables: of `OBJECTS`, in any order; gone through once, and kept on disk meanwhile.
        path: file to write.
        slide: what the file says of its slide and model.

    Returns:
        How many objects there are.

    Raises:
        ValueError: a table has another schema.
    """
    heap = path.with_name(f".{path.name}.unsorted")
    try:
        with whole(path) as part, _Heap(heap) as unsorted:
            for table in tables:
                unsorted.add(table)
            schema = FILE.with_metadata(_metadata(slide, unsorted.bounds))
            with _writer(part, schema) as writer:
                first = 1
                for rows in _groups(unsorted.sorted_cells()):
                    writer.write_table(_finished(rows, first, unsorted, schema), len(rows))
                    first += len(rows)
    finally:
        heap.unlink(missing_ok=True)
    return first - 1


def read_objects(
    path: Path,
    box: Box | None = None,
    *,
    columns: Collection[str] | None = None,
) -> pa.Table:
    """The objects of a file, or those whose bounding box meets `box`; see `iter_objects`."""
    schema = pa.schema([f for f in FILE if columns is None or f.name in columns])
    return pa.concat_tables([schema.empty_table(), *iter_objects(path, box, columns=columns)])


def iter_objects(
    path: Path, box: Box | None = None, *, columns: Collection[str] | None = None
) -> Iterator[pa.Table]:
    """The objects of a file, one row group at a time; groups away from `box` are not read.

    Args:
        path: as written by `write_objects`.
        box: only objects whose bounding box meets it.
        columns: names of `FILE`; all if None.

    Raises:
        DataError: the file is missing, damaged or of another kind.
    """
    file = _opened(path)
    names = [name for name in FILE.names if columns is None or name in columns]
    for group in range(file.num_row_groups):
        if box is not None and not _meets(file.metadata.row_group(group), box):
            continue
        wanted = names if box is None else [*names, "bbox"]
        try:
            rows = file.read_row_group(group, columns=wanted)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} is damaged ({error}). Merge the slide again.") from None
        yield (rows if box is None else rows.filter(_inside(rows, box))).select(names)


def count_objects(path: Path) -> int:
    """How many objects a file holds.

    Raises:
        DataError: the file is missing, damaged or of another kind.
    """
    return int(_opened(path).metadata.num_rows)


def read_facts(path: Path) -> SlideFacts:
    """What a file says of its slide and of the model that found the objects.

    Raises:
        DataError: the file is missing, damaged or of another kind.
    """
    return _facts(_opened(path), path)


class _Heap:
    """Unsorted objects on disk, each batch of one cell, to be read back cell by cell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._schema = pa.schema([(f.name, _plain(f.type)) for f in OBJECTS])
        self._cells: dict[int, list[int]] = {}
        self._n_batches = 0
        self._names: dict[str, set[str]] = {column: set() for column in _CATEGORIES}
        self.bounds: Box | None = None
        """Box around all outlines."""

    def __enter__(self) -> Self:
        self._writer: Any = pa.ipc.new_file(str(self._path), self._schema)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def add(self, table: pa.Table) -> None:
        if table.schema != OBJECTS:
            raise ValueError(f"expected a table of OBJECTS, got {table.schema}")
        if not len(table):
            return
        rows = table.cast(self._schema).combine_chunks()
        for column, names in self._names.items():
            names |= set(rows[column].unique().drop_null().to_pylist())
        vertices, _ = rings_of(rows["geometry"])
        self._grow(vertices)
        cell = hilbert_index(rows["x"].to_numpy(), rows["y"].to_numpy()) >> 2 * CELL_BITS
        order = np.argsort(cell, kind="stable")
        cells, starts = np.unique(cell[order], return_index=True)
        by_cell = rows.take(order)
        for one, start, stop in zip(cells, starts, [*starts[1:], len(cell)], strict=True):
            (batch,) = by_cell.slice(start, stop - start).combine_chunks().to_batches()
            self._writer.write_batch(batch)
            self._cells.setdefault(int(one), []).append(self._n_batches)
            self._n_batches += 1

    def _grow(self, vertices: NDArray[np.float64]) -> None:
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        if self.bounds is not None:
            low, high = np.minimum(low, self.bounds[:2]), np.maximum(high, self.bounds[2:])
        self.bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))

    def sorted_cells(self) -> Iterator[pa.Table]:
        """The objects of one cell after the other, sorted; nothing can be added any more."""
        self._writer.close()
        with pa.memory_map(str(self._path)) as source:
            file = pa.ipc.open_file(source)
            for cell in sorted(self._cells):
                batches = [file.get_batch(number) for number in self._cells[cell]]
                yield _sorted(pa.Table.from_batches(batches).combine_chunks())

    def vocabulary(self, column: str) -> pa.Array:
        """The names in a column, sorted."""
        return pa.array(sorted(self._names[column]), pa.string())


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _sorted(rows: pa.Table) -> pa.Table:
    x, y, area = (rows[name].to_numpy() for name in ("x", "y", "area_um2"))
    task = np.unique(rows["task"].to_numpy(), return_inverse=True)[1]
    box = _boxes(rows["geometry"])
    order = np.lexsort((*box.T[::-1], area, task, x, y, hilbert_index(x, y)))
    return rows.take(order)


def _boxes(geometry: pa.ChunkedArray) -> NDArray[np.float64]:
    """(n, 4) xmin, ymin, xmax, ymax of each polygon."""
    vertices, ends = rings_of(geometry)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(ends)]
    low, high = (f.reduceat(vertices, starts, axis=0) for f in (np.minimum, np.maximum))
    return np.concatenate([low, high], axis=1)


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of `GROUP_ROWS`, the last one shorter."""
    pending: list[pa.Table] = []
    n_pending = 0
    for table in tables:
        start = 0
        while n_pending + len(table) - start >= GROUP_ROWS:
            stop = start + GROUP_ROWS - n_pending
            yield pa.concat_tables([*pending, table.slice(start, stop - start)]).combine_chunks()
            pending, n_pending, start = [], 0, stop
        if start < len(table):
            pending.append(table.slice(start))
            n_pending += len(table) - start
    if pending:
        yield pa.concat_tables(pending).combine_chunks()


def _finished(rows: pa.Table, first: int, heap: _Heap, schema: pa.Schema) -> pa.Table:
    """Rows with ids from `first` on, boxes, and names as indices into one list for the file."""
    box = _boxes(rows["geometry"]).astype(np.float32)
    sides = [pa.array(np.ascontiguousarray(side)) for side in box.T]
    columns = {name: rows[name] for name in OBJECTS.names}
    for name in _CATEGORIES:
        names = heap.vocabulary(name)
        codes = pc.index_in(rows[name].combine_chunks(), names).cast(pa.int8())
        columns[name] = pa.DictionaryArray.from_arrays(codes, names)
    columns["id"] = pa.array(np.arange(first, first + len(rows)))
    columns["bbox"] = pa.StructArray.from_arrays(sides, fields=list(BBOX))
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=list(_CATEGORIES),
        column_encoding={"id": "DELTA_BINARY_PACKED"} | dict.fromkeys(_SPLIT, "BYTE_STREAM_SPLIT"),
        write_page_index=True,
    )


def _metadata(slide: SlideFacts, bounds: Box | None) -> dict[bytes, bytes]:
    column: dict[str, Any] = {
        "encoding": "polygon",
        "geometry_types": ["Polygon"],
        "crs": None,
        "orientation": "counterclockwise",
        "covering": {"bbox": {side: ["bbox", side] for side in SIDES}},
    }
    if bounds is not None:
        column["bbox"] = list(bounds)
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {b"geo": json.dumps(geo).encode(), FACTS_KEY: _FACTS.dump_json(slide)}


def _opened(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is missing or damaged ({error}). Merge the slide again.") from None
    _facts(file, path)
    if not file.schema_arrow.equals(FILE):
        raise DataError(f"{path} has other columns than {FILE.names}. Merge the slide again.")
    return file


def _facts(file: pq.ParquetFile, path: Path) -> SlideFacts:
    stored = (file.schema_arrow.metadata or {}).get(FACTS_KEY)
    if stored is None:
        raise DataError(f"{path} holds no objects of a slide. Give the objects.parquet of one.")
    try:
        return _FACTS.validate_json(stored)
    except ValidationError as error:
        raise DataError(f"{path}: what it says of its slide is damaged ({error}).") from None


def _meets(group: pq.RowGroupMetaData, box: Box) -> bool:
    columns = (group.column(i) for i in range(group.num_columns))
    ranges = {c.path_in_schema: c.statistics for c in columns if c.statistics is not None}
    if not all(f"bbox.{side}" in ranges for side in SIDES):
        return True
    x0, y0, x1, y1 = box
    return bool(
        ranges["bbox.xmin"].min <= x1
        and ranges["bbox.ymin"].min <= y1
        and ranges["bbox.xmax"].max >= x0
        and ranges["bbox.ymax"].max >= y0
    )


def _inside(rows: pa.Table, box: Box) -> pa.ChunkedArray:
    xmin, ymin, xmax, ymax = (side.to_numpy() for side in rows["bbox"].combine_chunks().flatten())
    x0, y0, x1, y1 = box
    return pa.array((xmin <= x1) & (ymin <= y1) & (xmax >= x0) & (ymax >= y0))
