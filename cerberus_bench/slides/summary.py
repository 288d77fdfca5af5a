"""A slide in numbers: how many of what, how dense, how large, and what the tissue is."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole
from cerberus_bench.schema.report import STRICT, Count
from cerberus_bench.schema.tasks import INSTANCE_TASKS
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.geoparquet import iter_objects, read_facts

FILE_NAME = "summary.json"
MAX_BYTES = 1_000_000
UM2_PER_MM2 = 1_000_000

NonNegative = Annotated[FiniteFloat, Field(ge=0)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]


class SlideInfo(BaseModel):
    """The slide."""

    model_config = STRICT

    name: str
    width_px: Count
    """Level 0."""
    height_px: Count
    mpp_x: NonNegative
    mpp_y: NonNegative


class ModelInfo(BaseModel):
    """The model."""

    model_config = STRICT

    name: str
    sha256: str | None
    mpp: NonNegative
    run: str | None = None
    """Mode, precision and backend; None in summaries that do not say it."""


class ClassSummary(BaseModel):
    """The objects of one class."""

    model_config = STRICT

    n: Count
    per_mm2: NonNegative | None
    """Per mm2 of tissue; None where no tissue was found."""
    share: Share | None
    """Of all objects of the task."""
    area_mean_um2: NonNegative | None
    """None where there is no object."""


class Spread(BaseModel):
    """A distribution over objects."""

    model_config = STRICT

    mean: NonNegative
    q1: NonNegative
    median: NonNegative
    q3: NonNegative


class TaskSummary(BaseModel):
    """The objects of one task."""

    model_config = STRICT

    n: Count
    per_mm2: NonNegative | None
    area_mm2: NonNegative
    """Of all objects together."""
    area_um2: Spread | None
    """Of single objects; None where there is none, and for nuclei, which are too many to keep."""
    classes: dict[str, ClassSummary]
    """Every class of the model, and `none` for objects that it gives no class."""


class TissueSummary(BaseModel):
    """The class of the tissue, on a grid of places."""

    model_config = STRICT

    n_places: Count
    shares: dict[str, Share]
    """Class -> share of the places where it is the most probable; empty where there is none."""


class SlideSummary(BaseModel):
    """`summary.json`."""

    model_config = STRICT

    format: Literal[1] = 1
    slide: SlideInfo
    model: ModelInfo
    tissue_mm2: NonNegative
    """Area of the tissue mask."""
    objects: dict[str, TaskSummary]
    """Task -> its objects, for every task of the model that has objects."""
    lumen_share_of_glands: NonNegative | None
    """Area of lumina by that of glands; None where either is not predicted or there is no gland."""
    tissue: TissueSummary | None
    """None where the model does not predict it."""


def summarise(
    objects: Path, *, mask: NDArray[np.bool_], tissue: Iterable[pa.Table] = ()
) -> SlideSummary:
    """Sum a slide up, in one pass over its objects.

    Args:
        objects: a file of `write_objects`.
        mask: (h, w) of the whole slide, true on tissue.
        tissue: probabilities of the tissue's class at places of the slide, a column a class.

    Raises:
        DataError: `objects` is damaged or of another kind, or a table of `tissue` lacks a class.
    """
    facts = read_facts(objects)
    slide_mm2 = facts.width * facts.height * facts.pixel_area_um2 / UM2_PER_MM2
    tissue_mm2 = float(mask.mean()) * slide_mm2 if mask.size else 0.0
    tallies = {task: _Tally(facts, task) for task in facts.label_spaces if task in INSTANCE_TASKS}
    for rows in iter_objects(objects, columns=("task", "class", "area_um2")):
        for task, tally in tallies.items():
            tally.add(rows.filter(pc.equal(rows["task"].cast(pa.string()), task)))
    tasks = {task: tally.summary(tissue_mm2) for task, tally in tallies.items()}
    return SlideSummary(
        slide=SlideInfo(
            name=facts.name,
            width_px=facts.width,
            height_px=facts.height,
            mpp_x=facts.mpp_x,
            mpp_y=facts.mpp_y,
        ),
        model=ModelInfo(
            name=facts.model,
            sha256=facts.model_sha256,
            mpp=facts.model_mpp,
            run=facts.model_run,
        ),
        tissue_mm2=tissue_mm2,
        objects=tasks,
        lumen_share_of_glands=_lumen_share(tasks),
        tissue=_tissue(facts, tissue) if "tissue" in facts.label_spaces else None,
    )


def write_summary(summary: SlideSummary, path: Path) -> None:
    """Write a summary; the file appears when it is complete."""
    text = json.dumps(summary.model_dump(), indent=1, allow_nan=False, ensure_ascii=False)
    with whole(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read_summary(path: Path) -> SlideSummary:
    """Read a summary.

    Raises:
        DataError: the file is missing, too large, or no summary of this version.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} is too large for the summary of a slide")
        return SlideSummary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} is no summary of a slide ({where}: {first['msg']}). Merge the slide again."
        ) from None


class _Tally:
    """Counts and areas of the objects of one task."""

    NONE = "none"

    def __init__(self, facts: SlideFacts, task: str) -> None:
        self._keeps_areas = task != "nuclei"
        self._areas: list[NDArray[np.float64]] = []
        self._n = dict.fromkeys((*facts.label_spaces[task].classes, self.NONE), 0)
        self._area_um2 = dict.fromkeys(self._n, 0.0)

    def add(self, rows: pa.Table) -> None:
        area = rows["area_um2"].to_numpy().astype(np.float64)
        names = pc.fill_null(rows["class"].cast(pa.string()), self.NONE)
        if self._keeps_areas:
            self._areas.append(area)
        for name in names.unique().to_pylist():
            mine = pc.equal(names, name).to_numpy()
            self._n[name] = self._n.get(name, 0) + int(mine.sum())
            self._area_um2[name] = self._area_um2.get(name, 0.0) + float(area[mine].sum())

    def summary(self, tissue_mm2: float) -> TaskSummary:
        n = sum(self._n.values())
        areas = np.concatenate([np.zeros(0), *self._areas])
        return TaskSummary(
            n=n,
            per_mm2=_ratio(n, tissue_mm2),
            area_mm2=sum(self._area_um2.values()) / UM2_PER_MM2,
            area_um2=_spread(areas) if len(areas) else None,
            classes={
                name: ClassSummary(
                    n=count,
                    per_mm2=_ratio(count, tissue_mm2),
                    share=_ratio(count, n),
                    area_mean_um2=_ratio(self._area_um2[name], count),
                )
                for name, count in self._n.items()
            },
        )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _spread(values: NDArray[np.float64]) -> Spread:
    q1, median, q3 = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return Spread(mean=float(values.mean()), q1=q1, median=median, q3=q3)


def _lumen_share(tasks: Mapping[str, TaskSummary]) -> float | None:
    if "gland" not in tasks or "lumen" not in tasks:
        return None
    return _ratio(tasks["lumen"].area_mm2, tasks["gland"].area_mm2)


def _tissue(facts: SlideFacts, tables: Iterable[pa.Table]) -> TissueSummary:
    classes = facts.label_spaces["tissue"].classes
    counts = np.zeros(len(classes), np.int64)
    for table in tables:
        lacking = sorted(set(classes) - set(table.column_names))
        if lacking:
            raise DataError(f"the tissue table of {facts.name} has no columns {lacking}.")
        if len(table):
            probabilities = np.stack([table[name].to_numpy() for name in classes])
            counts += np.bincount(probabilities.argmax(axis=0), minlength=len(classes))
    n = int(counts.sum())
    shares = zip(classes, (counts / max(n, 1)).tolist(), strict=True)
    return TissueSummary(n_places=n, shares=dict(shares) if n else {})
