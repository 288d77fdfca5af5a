"""Summaries of many slides as one table: a row a slide, a column a number."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.summary import SlideSummary, TaskSummary

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a cohort."""

    name: str
    kind: pa.DataType
    meaning: str
    value: Callable[[SlideSummary], Value]


def cohort_table(summaries: Sequence[SlideSummary]) -> pa.Table:
    """One row a slide, in the order of their names; each field's metadata says what it means.

    Raises:
        DataError: there is no slide, two have the same name, or they were read by different
            models or in different ways, whose numbers do not compare.
    """
    if not summaries:
        raise DataError("a cohort needs at least one slide")
    rows = sorted(summaries, key=lambda summary: summary.slide.name)
    for name, same in groupby(rows, key=lambda summary: summary.slide.name):
        if len(list(same)) > 1:
            raise DataError(f"two slides are called {name}. Rename one and predict it again.")
    first = rows[0]
    for other in rows[1:]:
        if _reader(other) != _reader(first):
            raise DataError(
                f"{first.slide.name} was read by {_named(first)}, {other.slide.name} by"
                f" {_named(other)}, and their numbers do not compare. Predict all slides with one"
                " model in one way, or give each a folder."
            )
    columns = list(_columns(rows))
    schema = pa.schema(
        [pa.field(c.name, c.kind, metadata={"description": c.meaning}) for c in columns]
    )
    values = [pa.array([c.value(row) for row in rows], c.kind) for c in columns]
    return pa.table(values, schema=schema)


def _reader(summary: SlideSummary) -> tuple[object, ...]:
    """What two slides must share so that their numbers compare."""
    classes = [(task, *found.classes) for task, found in summary.objects.items()]
    return (summary.model, *classes)


def _named(summary: SlideSummary) -> str:
    model = summary.model
    facts = [fact for fact in (model.sha256 and model.sha256[:12], model.run) if fact]
    return model.name + (f" ({', '.join(facts)})" if facts else "")


def _columns(rows: Sequence[SlideSummary]) -> Iterator[Column]:
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    yield Column("slide", text, "name of the slide's file without suffix", lambda s: s.slide.name)
    yield Column("model", text, "name of the model", lambda s: s.model.name)
    yield Column("model_sha256", text, "hash of the model's file", lambda s: s.model.sha256)
    yield Column("model_mpp", real, "um per px that the model works at", lambda s: s.model.mpp)
    yield Column("model_run", text, "mode, precision and backend of it", lambda s: s.model.run)
    yield Column("width_px", whole, "width of level 0", lambda s: s.slide.width_px)
    yield Column("height_px", whole, "height of level 0", lambda s: s.slide.height_px)
    yield Column("mpp", real, "um per px of level 0, along x", lambda s: s.slide.mpp_x)
    yield Column("tissue_mm2", real, "area of the tissue mask", lambda s: s.tissue_mm2)
    for task in rows[0].objects:
        yield from _task_columns(task, rows)
    if {"gland", "lumen"} <= set(rows[0].objects):
        yield Column(
            "lumen_share_of_glands",
            real,
            "area of lumina by area of glands",
            lambda s: s.lumen_share_of_glands,
        )
    yield from _tissue_columns(rows)


def _task_columns(task: str, rows: Sequence[SlideSummary]) -> Iterator[Column]:
    def of(value: Callable[[TaskSummary], Value]) -> Callable[[SlideSummary], Value]:
        return lambda summary: value(summary.objects[task])

    real = pa.float64()
    yield Column(f"{task}_n", pa.int64(), f"number of {task} objects", of(lambda t: t.n))
    yield Column(f"{task}_per_mm2", real, "the same per mm2 of tissue", of(lambda t: t.per_mm2))
    yield Column(f"{task}_area_mm2", real, "area of all of them", of(lambda t: t.area_mm2))
    if task != "nuclei":
        for what in ("mean", "q1", "median", "q3"):
            yield Column(
                f"{task}_area_{what}_um2",
                real,
                f"{what} of the areas of single objects",
                of(lambda t, what=what: getattr(t.area_um2, what) if t.area_um2 else None),  # type: ignore[misc]
            )
    names = rows[0].objects[task].classes
    shown = [n for n in names if n != "none" or any(r.objects[task].classes[n].n for r in rows)]
    for name in shown if len(shown) > 1 else []:
        yield from _class_columns(task, name)


def _class_columns(task: str, name: str) -> Iterator[Column]:
    def of(field: str) -> Callable[[SlideSummary], Value]:
        def value(summary: SlideSummary) -> Value:
            found: Value = getattr(summary.objects[task].classes[name], field)
            return found

        return value

    what = f"{task} of class {name}" if name != "none" else f"{task} without class"
    for field, kind, meaning in (
        ("n", pa.int64(), f"number of {what}"),
        ("per_mm2", pa.float64(), f"{what} per mm2 of tissue"),
        ("share", pa.float64(), f"{what}, share of all {task}"),
        ("area_mean_um2", pa.float64(), f"mean area of {what}"),
    ):
        yield Column(f"{task}_{name}_{field}", kind, meaning, of(field))


def _tissue_columns(rows: Sequence[SlideSummary]) -> Iterator[Column]:
    if rows[0].tissue is None:
        return
    names = dict.fromkeys(name for row in rows if row.tissue for name in row.tissue.shares)
    yield Column(
        "tissue_n_places",
        pa.int64(),
        "places at which the class of the tissue was predicted",
        lambda s: s.tissue.n_places if s.tissue else None,
    )

    def share(name: str) -> Callable[[SlideSummary], Value]:
        return lambda summary: summary.tissue.shares.get(name) if summary.tissue else None

    for name in names:
        meaning = f"share of the places where {name} is the most probable class"
        yield Column(f"tissue_{name}_share", pa.float64(), meaning, share(name))
