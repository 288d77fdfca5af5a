"""`cohort`: the summaries of many slides as one table that can be published like a dataset."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_NAME, CSV_NAME, CARD_NAME = "cohort.parquet", "cohort.csv", "README.md"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


def cohort(folder: Path, out: Path | None = None, *, licence: str | None = None) -> dict[str, Any]:
    """Write `cohort.parquet`, `cohort.csv` and a card of the slides in a folder of predictions.

    Args:
        folder: as `predict` wrote it: a folder a slide, with its `summary.json`.
        out: folder to write; `<folder>/cohort` if None.
        licence: under which the numbers may be passed on, as the Hub calls it (`cc-by-4.0`).

    Returns:
        out, model, columns, rows (one a slide), unfinished (slides without a summary).

    Raises:
        DataError: there is no finished slide, a summary is damaged, or the slides do not fit
            together.
    """
    from cerberus_bench.slides.cohort import cohort_table
    from cerberus_bench.slides.folder import SlideFolder
    from cerberus_bench.slides.summary import FILE_NAME, read_summary

    if not folder.is_dir():
        raise DataError(f"{folder} is no folder. Give the folder that `predict` wrote slides to.")
    slides = sorted(path for path in folder.iterdir() if path.is_dir())
    finished = [path for path in slides if (path / FILE_NAME).is_file()]
    unfinished = [
        path.name
        for path in slides
        if path not in finished and SlideFolder(path).plan_path.is_file()
    ]
    if not finished:
        raise DataError(
            f"{folder} holds no slide with a {FILE_NAME} ({len(unfinished)} unfinished). Run"
            " `cerberus-bench predict` on slides first."
        )
    table = cohort_table([read_summary(path / FILE_NAME) for path in finished])
    target = out or folder / "cohort"
    _write(table, target, licence)
    return {
        "out": str(target),
        "model": table["model"][0].as_py(),
        "columns": {field.name: _meaning(field) for field in table.schema},
        "rows": table.to_pylist(),
        "unfinished": unfinished,
    }


def _write(table: "pa.Table", out: Path, licence: str | None) -> None:
    import pyarrow.parquet as pq
    from pyarrow import csv

    def parquet(path: Path) -> None:
        pq.write_table(table, path, compression="zstd")

    def plain(path: Path) -> None:
        content = io.BytesIO()
        csv.write_csv(table, content, csv.WriteOptions(quoting_style="needed"))
        path.write_bytes(content.getvalue())

    def card(path: Path) -> None:
        path.write_text(_card(table, licence), encoding="utf-8")

    out.mkdir(parents=True, exist_ok=True)
    writers: dict[str, Callable[[Path], None]] = {
        TABLE_NAME: parquet,
        CSV_NAME: plain,
        CARD_NAME: card,
    }
    for name, write in writers.items():
        with whole(out / name) as part:
            write(part)


def _card(table: "pa.Table", licence: str | None) -> str:
    """README.md: YAML that `datasets` opens the table by, and what the columns mean."""
    import yaml

    model, n = table["model"][0].as_py(), len(table)
    front = {
        "pretty_name": f"{n} slides read by {model}",
        **({"license": licence} if licence else {}),
        "tags": ["histology", "pathology", "whole-slide-imaging"],
        "size_categories": [next((name for most, name in _SIZES if n < most), "100K<n<1M")],
        "configs": [{"config_name": "default", "data_files": TABLE_NAME}],
    }
    columns = "".join(
        f"| {field.name} | {field.type} | {_meaning(field)} |\n" for field in table.schema
    )
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n"
        f"# {n} slides read by {model}\n\n"
        "One row a slide, by cerberus-bench: what the model found on it, in numbers. A number that"
        " is not defined, such as the mean area of objects where there are none, is empty.\n\n"
        f"```python\nimport pandas as pd\n\ncohort = pd.read_parquet({TABLE_NAME!r})\n```\n\n"
        "Before you publish this: slides are named by their files, and such a name may identify a"
        " patient.\n\n"
        f"## Columns\n\n| column | type | meaning |\n| --- | --- | --- |\n{columns}"
    )


def _meaning(field: "pa.Field") -> str:
    return str(field.metadata[b"description"].decode())
