"""Harmonised records into a folder of parquet, one file a split, that `datasets` opens."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cerberus_bench.loaders.columns import CLASSED_TASKS, Row, features, to_row
from cerberus_bench.loaders.splits import SPLITS
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.record import Record

DATA_FOLDER = "data"
MAX_GROUP_ROWS = 100
MAX_GROUP_BYTES = 16 << 20
"""A row group ends at whichever comes first: viewers and random access read whole groups."""

_BULKY = {"image", "valid", "preview", "nuclei", "gland", "lumen"}


def split_path(folder: Path, split: str) -> Path:
    """Where the rows of a split lie."""
    return folder / DATA_FOLDER / f"{split}.parquet"


class TableWriter:
    """Writes records, each with its `split` set, into `folder/data/<split>.parquet`."""

    def __init__(self, folder: Path, label_spaces: Mapping[str, LabelSpace]) -> None:
        self._folder = folder
        self._spaces = label_spaces
        self._schema: Any = features(label_spaces).arrow_schema
        self._splits: dict[str, _SplitWriter] = {}
        self.hashes: dict[str, str] = {}
        """Sample id -> hash of the decoded arrays."""

    def add(self, record: Record) -> None:
        """Append one record.

        Raises:
            ValueError: its split is not train, validation or test, or its id was added before.
            DataError: it cannot be stored.
        """
        self.add_row(to_row(record, self._spaces))

    def add_row(self, row: Row) -> None:
        """Append what `to_row` made of a record.

        Raises:
            ValueError: its split is not train, validation or test, or its id was added before.
        """
        split, name = row["split"], row["sample_id"]
        if split not in SPLITS or name in self.hashes:
            raise ValueError(f"{name}: split {split!r}, or added twice")
        self.hashes[name] = row["content_sha256"]
        if split not in self._splits:
            self._splits[split] = _SplitWriter(split_path(self._folder, split), self._schema)
        self._splits[split].add(row)

    @property
    def n_records(self) -> dict[str, int]:
        """Split -> records written, in the order train, validation, test."""
        return {s: self._splits[s].n_rows for s in SPLITS if s in self._splits}

    def close(self) -> None:
        """Write what is pending and the footers."""
        for split in self._splits.values():
            split.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _SplitWriter:
    """One parquet file, flushed by row groups of bounded size."""

    def __init__(self, path: Path, schema: Any) -> None:
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        light = [name for name in schema.names if name not in _BULKY]
        self._schema = schema
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            use_dictionary=[n for n in light if n not in _lists()],
            write_statistics=light,
            write_page_index=True,
        )
        self._pending: list[Row] = []
        self._pending_bytes = 0
        self.n_rows = 0

    def add(self, row: Row) -> None:
        self._pending.append(row)
        self._pending_bytes += sum(len(row[name]["bytes"]) for name in _BULKY if row[name])
        self.n_rows += 1
        if len(self._pending) >= MAX_GROUP_ROWS or self._pending_bytes >= MAX_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        if self._pending:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        table = pa.Table.from_pylist(self._pending, schema=self._schema)
        self._writer.write_table(table, row_group_size=len(self._pending))
        self._pending, self._pending_bytes = [], 0


def _lists() -> set[str]:
    classed = {f"{task}_{what}" for task in CLASSED_TASKS for what in ("ids", "classes")}
    return classed | {"points", "point_classes", "signet_ring"}
