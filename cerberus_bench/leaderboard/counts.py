"""Per-image counts beside a result: `<stem>.counts.parquet`, one row an image and task."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cerberus_bench.eval.image_counts import ImageCounts
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole

COUNTS_SUFFIX = ".counts.parquet"
MAX_COUNTS_BYTES = 200_000_000
TASK = "task"


def counts_path(result: Path) -> Path:
    """Where the counts of a result file lie."""
    return result.with_name(result.stem + COUNTS_SUFFIX)


def write_counts(path: Path, counts: Mapping[str, ImageCounts]) -> Path:
    """Write the counts of all tasks; columns that a task does not have are null in its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [
        pa.table({TASK: [task] * len(images), **images.to_table()})
        for task, images in counts.items()
    ]
    table = pa.concat_tables(tables, promote_options="default")
    with whole(path) as draft:
        pq.write_table(table, draft, compression="zstd")
    return path


def read_counts(path: Path) -> dict[str, ImageCounts]:
    """Task -> counts of its images.

    Raises:
        DataError: the file is missing, too large, no parquet, or holds no counts.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path} is missing; it belongs beside its result. Evaluate again.")
    try:
        with pq.ParquetFile(path) as file:
            _check_size(path, file.metadata)
            table = file.read()
        tasks = [str(task) for task in table.column(TASK).unique().to_pylist()]
        return {task: _of_task(path, task, table) for task in tasks}
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{path}: not a file of image counts: {error}") from None


def _check_size(path: Path, metadata: Any) -> None:
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if max(unpacked, path.stat().st_size) > MAX_COUNTS_BYTES:
        raise DataError(f"{path}: larger than {MAX_COUNTS_BYTES} bytes; these are no counts")


def _of_task(path: Path, task: str, table: Any) -> ImageCounts:
    import pyarrow.compute as pc

    rows = table.filter(pc.equal(table.column(TASK), task)).drop_columns([TASK])
    own = [name for name in rows.column_names if rows.column(name).null_count < len(rows)]
    try:
        return ImageCounts.from_table(task, rows.select(own).to_pydict())
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
