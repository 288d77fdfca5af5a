"""The fold table: which ancestral images Lizard re-uses, and the fold that it gives them.

`fold_table.csv` is derived from Lizard's `info.csv` (Filename, Source, Split) and GlaS' `Grade.csv`
(image, patient). To rebuild it from copies of the two files:

    python -m cerberus_bench.loaders.fold_table info.csv Grade.csv
"""

import csv
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

TABLE_NAME = "fold_table.csv"
_HEADER = ("origin", "group", "fold", "lizard")
_SOURCES = {"glas": "glas", "crag": "crag", "consep": "consep", "dpath": "digestpath"}
"""Prefix of a Lizard file name -> the dataset that it was taken from."""
REPEATED = "dpath_58"
"""The same region as dpath_48 (DigestPath 18-13347A, 14057-17758) in another fold: left out."""


@dataclass(frozen=True, slots=True)
class FoldRow:
    """One ancestral image that Lizard re-uses."""

    origin: str
    group: str
    """Patient, slide or, where neither is known, the image itself."""
    fold: int
    lizard: str
    """Its name in Lizard."""


@cache
def fold_table() -> tuple[FoldRow, ...]:
    """The table as shipped."""
    text = files("cerberus_bench.loaders").joinpath(TABLE_NAME).read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(FoldRow(r["origin"], r["group"], int(r["fold"]), r["lizard"]) for r in rows)


def build_fold_table(info_csv: str, glas_patients: Mapping[str, str]) -> tuple[FoldRow, ...]:
    """The table from the text of Lizard's `info.csv` and GlaS' image -> patient."""
    rows = csv.DictReader(info_csv.splitlines())
    return tuple(
        _row(row["Filename"], row["Source"], int(row["Split"]), glas_patients)
        for row in rows
        if row["Filename"] != REPEATED
    )


def _row(lizard: str, source: str, fold: int, glas_patients: Mapping[str, str]) -> FoldRow:
    dataset = _SOURCES.get(lizard.partition("_")[0])
    if dataset is None:  # PanNuke: the original image is not told
        return FoldRow(f"lizard/{lizard}", f"lizard/{lizard}", fold, lizard)
    origin = group = f"{dataset}/{source}"
    if dataset == "glas":
        group = f"glas/patient-{glas_patients[source]}"
    elif dataset == "digestpath":
        group = f"digestpath/{source.partition('-lv1-')[0]}"
    return FoldRow(origin, group, fold, lizard)


def to_csv(rows: tuple[FoldRow, ...]) -> str:
    """The text of `fold_table.csv`."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows((row.origin, row.group, row.fold, row.lizard) for row in rows)
    return buffer.getvalue()


def _main(info: str, grade: str) -> None:
    from cerberus_bench.loaders.sources.glas import parse_grades

    patients = {name: row.patient for name, row in parse_grades(Path(grade).read_bytes()).items()}
    rows = build_fold_table(Path(info).read_text(encoding="utf-8"), patients)
    sys.stdout.write(to_csv(rows))


if __name__ == "__main__":
    _main(*sys.argv[1:])
