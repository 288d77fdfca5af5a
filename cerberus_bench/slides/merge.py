"""Shards of a slide joined: all its objects in one file, and what is made from that."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.folder import SlideFolder
from cerberus_bench.slides.geojson import write_geojson
from cerberus_bench.slides.geoparquet import write_objects
from cerberus_bench.slides.overlay import write_overlay
from cerberus_bench.slides.plan import Plan, part_of
from cerberus_bench.slides.seams import join_regions
from cerberus_bench.slides.shard import NUCLEI_FILE, REGIONS_FILE, TISSUE_FILE
from cerberus_bench.slides.summary import SlideSummary, summarise, write_summary

MOST_NAMED = 12
"""Missing shards that an error names one by one."""


def merge_slide(folder: SlideFolder) -> SlideSummary:
    """Join the shards of a slide.

    Writes `objects.parquet`, `objects.geojson.gz`, `overlay.png` and, last, `summary.json`; needs
    neither the slide nor the model.

    Raises:
        DataError: shards are missing or damaged, or there is no plan.
    """
    plan = folder.plan()
    if missing := list(folder.missing(plan)):
        raise DataError(_how_to_go_on(folder, plan, missing))
    mask = folder.tissue(plan)
    write_objects(_objects(folder, plan), folder.objects_path, slide=plan.facts)
    write_geojson(folder.objects_path, folder.path / "objects.geojson.gz")
    write_overlay(folder.objects_path, folder.thumbnail(), folder.path / "overlay.png", mask)
    tissue = _tables(folder, plan, TISSUE_FILE) if "tissue" in plan.facts.label_spaces else ()
    summary = summarise(folder.objects_path, mask=mask, tissue=tissue)
    write_summary(summary, folder.summary_path)
    folder.clean()
    return summary


def _objects(folder: SlideFolder, plan: Plan) -> Iterator[pa.Table]:
    facts = plan.facts
    if "nuclei" in facts.label_spaces:
        yield from _tables(folder, plan, NUCLEI_FILE)
    files = [folder.shard(index) / REGIONS_FILE for index in range(len(plan.shards))]
    yield from join_regions([file for file in files if file.exists()], plan.grid, facts)


def _tables(folder: SlideFolder, plan: Plan, name: str) -> Iterator[pa.Table]:
    for index in range(len(plan.shards)):
        yield pq.read_table(folder.shard(index) / name, partitioning=None)


def _how_to_go_on(folder: SlideFolder, plan: Plan, missing: Sequence[int]) -> str:
    named = ", ".join(f"{index:05d}" for index in missing[:MOST_NAMED])
    rest = ", ..." if len(missing) > MOST_NAMED else ""
    records = map(folder.record, range(len(plan.shards)))
    n = max((record.part[1] for record in records if record and record.part), default=0)
    parts = sorted({part_of(plan, index, n) for index in missing}) if n else []
    with_parts = " with " + ", ".join(f"--shard {i}/{n}" for i in parts) if n else ""
    return (
        f"{folder.path}: {len(missing)} of {len(plan.shards)} shards are missing or damaged:"
        f" {named}{rest}. Run the same `cerberus-bench predict` again{with_parts}: it does only"
        " these."
    )
