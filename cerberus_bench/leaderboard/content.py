"""What the page of a board shows, as plain data: words are made here, pictures in the browser."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cerberus_bench.leaderboard.claims import Claim, claims_on
from cerberus_bench.leaderboard.columns import Column
from cerberus_bench.leaderboard.compare import Board, Cell, Entry, Standing, Table
from cerberus_bench.leaderboard.notes import (
    board_notes,
    column_names,
    heading,
    printable,
    table_notes,
)
from cerberus_bench.leaderboard.render import (
    Row,
    cell_fields,
    column_fields,
    entry_fields,
    table_fields,
)
from cerberus_bench.pictures.wording import (
    FEW_GROUPS,
    PERCENT_METRICS,
    UNIT_NAMES,
    interval_text,
    metric_name,
    task_name,
    value_text,
)
from cerberus_bench.schema.result import Inference, ModelInfo

Content = dict[str, Any]
"""What `json.dumps` takes."""

THROUGHPUT = "megapixels_per_second"
"""Name of the speed of inference in the provenance of a result."""
SHOWN_SOURCES = 8
"""Training sets of a model that are listed by name."""
STATUS_TEXT = {
    "clean": "shares nothing with what the model was trained on",
    "contaminated": "shares patients or images with training data",
    "unknown": "not known what the model was trained on",
}
HUB = "https://huggingface.co"
HUB_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
HUB_REVISION = re.compile(r"[0-9a-f]{40}")


def board_content(board: Board) -> Content:
    """Tables, standings and notes; the same board gives the same content."""
    names = _ids(board.tables)
    return {
        "few": FEW_GROUPS,
        "tables": [_table(table, name) for table, name in zip(board.tables, names, strict=True)],
        "standings": _standings(board.standings),
        "notes": board_notes(board),
    }


def _clean(row: Row) -> Row:
    return {k: printable(v) if isinstance(v, str) else v for k, v in row.items()}


def _ids(tables: Iterable[Table]) -> list[str]:
    """A name for each table that may stand in an address."""
    taken: dict[str, int] = {}
    names = []
    for table in tables:
        words = (table.task, table.data.name, table.data.split, str(table.data.fold))
        name = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")
        taken[name] = taken.get(name, 0) + 1
        names.append(name if taken[name] == 1 else f"{name}-{taken[name]}")
    return names


def _table(table: Table, name: str) -> Content:
    data = table.data
    report = table.entries[0].result.record.report
    mpp = table.entries[0].result.record.data.mpp
    return {
        "id": name,
        "task": task_name(table.task),
        "data": printable(data.name),
        "part": printable(f"{data.split}, fold {data.fold}"),
        "synthetic": table.synthetic,
        "facts": [
            printable(f"version {data.version}"),
            f"{report.n_images:,} images in {report.n_groups:,} groups",
            f"{mpp:g} µm per pixel",
            f"protocol {data.protocol_version}",
            printable(f"fingerprint {data.fingerprint[:12]}"),
        ],
        "fields": _clean(table_fields(table)),
        "columns": [_column(column) for column in table.columns],
        "entries": [_entry(entry) for entry in table.entries],
        "pairs": _pairs(table),
        "claims": _claims(claims_on(data.name, data.split, table.task)),
        "notes": table_notes(table),
    }


def _column(column: Column) -> Content:
    name, detail = column_names(column)
    return {
        "name": name,
        "detail": detail,
        "unit": UNIT_NAMES.get(column.unit, printable(column.unit)) if column.unit else "",
        "decimals": _decimals(column),
        "lower": column.lower_is_better,
        "fields": _clean(column_fields(column)),
    }


def _decimals(column: Column) -> int:
    return 3 if column.unit is None and column.metric not in PERCENT_METRICS else 1


def _entry(entry: Entry) -> Content:
    record = entry.result.record
    model = record.model
    return {
        "label": printable(entry.label),
        "kind": model.kind,
        "parameters": model.parameters,
        "seed": model.seed,
        "sha": printable((model.file_sha256 or "")[:12]),
        "status": record.contamination.status,
        "speed": _throughput(record.provenance.get(THROUGHPUT)),
        "facts": [
            ["Tasks", printable(", ".join(task_name(task) for task in model.tasks))],
            ["Architecture", printable(model.architecture or "not said")],
            ["Trained on", printable(_trained_on(model))],
            *([["Budget", printable(str(model.budget))]] if model.budget else []),
            ["Test data", printable(_contamination(entry))],
            *_how_it_ran(model.inference),
            ["Model file", printable(model.file_sha256 or "none: predictions made elsewhere")],
            ["Evaluated", printable(record.created_utc)],
            ["Code", printable(record.provenance.get("commit", "not said"))],
            *_on_the_hub("Model on the Hub", record.provenance, "model", HUB),
            *_on_the_hub("Data on the Hub", record.provenance, "data", f"{HUB}/datasets"),
        ],
        "fields": _clean(entry_fields(entry)),
        "cells": [None if cell is None else _cell(cell) for cell in entry.cells],
    }


def _how_it_ran(inference: Inference | None) -> list[list[str]]:
    if inference is None:
        return []
    text = f"{inference.mode}, {inference.precision}, {inference.backend} on {inference.device}"
    if inference.parity:
        text += f"; parity with exact fp32 torch: {inference.parity}"
    return [["Run", printable(text)]]


def _on_the_hub(term: str, provenance: Mapping[str, str], what: str, home: str) -> list[list[str]]:
    """A fact with a link, where provenance names a repository and the commit that was used."""
    repo = provenance.get(f"{what}_repo", "")
    revision = provenance.get(f"{what}_revision", "")
    if not HUB_REPO.fullmatch(repo) or not HUB_REVISION.fullmatch(revision):
        return []
    return [[term, f"{repo}@{revision[:12]}", f"{home}/{repo}/tree/{revision}"]]


def _throughput(text: str | None) -> float | None:
    try:
        speed = float(text or "nan")
    except ValueError:
        return None
    return speed if math.isfinite(speed) and speed > 0 else None


def _trained_on(model: ModelInfo) -> str:
    if model.trained_on is None:
        return "not known"
    sources = [f"{s.dataset} {s.version} ({s.split}, fold {s.fold})" for s in model.trained_on]
    more = len(sources) - SHOWN_SOURCES
    shown = ", ".join(sources[:SHOWN_SOURCES]) or "nothing"
    return f"{shown} and {more} more" if more > 0 else shown


def _contamination(entry: Entry) -> str:
    found = entry.result.record.contamination
    return (
        f"{STATUS_TEXT[found.status]}: {found.reason}"
        if found.reason
        else (STATUS_TEXT[found.status])
    )


def _cell(cell: Cell) -> Content:
    return {
        "text": printable(value_text(cell.score)),
        "interval": printable(interval_text(cell.score)),
        "rank": str(cell.rank) if cell.rank else "",
        "fields": _clean(cell_fields(cell)),
    }


def _pairs(table: Table) -> list[list[int | float | None]]:
    """Column, multi-task and single-task model by index, their difference, its interval and p."""
    kinds = {entry.label: entry.result.record.model.kind for entry in table.entries}
    places = {entry.label: i for i, entry in enumerate(table.entries)}
    found: list[list[int | float | None]] = []
    for pair in table.pairs:
        if kinds[pair.first] == kinds[pair.second]:
            continue
        column = table.columns.index(pair.column)
        first, second = places[pair.first], places[pair.second]
        if kinds[pair.first] == "multi":
            found.append([column, first, second, pair.value, pair.low, pair.high, pair.p])
        else:
            low, high = _negative(pair.high), _negative(pair.low)
            found.append([column, second, first, -pair.value, low, high, pair.p])
    return found


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _claims(claims: Sequence[Claim]) -> list[Content]:
    """Groups of one convention, each a small table with one line a model and source."""
    return [
        _claim_group(convention, [c for c in claims if c.convention == convention])
        for convention in dict.fromkeys(claim.convention for claim in claims)
    ]


def _claim_group(convention: str, claims: Sequence[Claim]) -> Content:
    columns = list(dict.fromkeys((c.metric, c.class_name, c.unit) for c in claims))
    lines = dict.fromkeys((c.model, c.year, c.source, c.confidence, c.note) for c in claims)
    values = {
        ((c.model, c.year, c.source, c.confidence, c.note), (c.metric, c.class_name, c.unit)): c
        for c in claims
    }
    return {
        "convention": convention,
        "columns": [_claimed_score(*column) for column in columns],
        "rows": [
            {
                "model": line[0],
                "year": line[1],
                "source": line[2],
                "confidence": line[3],
                "note": line[4],
                "values": [
                    f"{c.value:g}" if (c := values.get((line, column))) else ""
                    for column in columns
                ],
            }
            for line in lines
        ],
    }


def _claimed_score(metric: str, class_name: str | None, unit: str | None) -> str:
    name = " ".join([metric_name(metric), *([class_name] if class_name else [])])
    return f"{name}, {UNIT_NAMES.get(unit, unit)}" if unit else name


def _standings(standings: Sequence[Standing]) -> list[Content]:
    scores = dict.fromkeys((standing.task, standing.column) for standing in standings)
    return [
        {
            "score": f"{task_name(task)}: {heading(column)}",
            "rows": [
                [
                    printable(s.label),
                    None if s.mean_rank is None else round(s.mean_rank, 2),
                    s.wins,
                    s.ties,
                    s.losses,
                    s.n_tables,
                ]
                for s in standings
                if (s.task, s.column) == (task, column)
            ],
        }
        for task, column in scores
    ]
