"""Verbs about whole slides: merge, cohort; and how `predict` shows them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cerberus_bench.cli.options import AsJson

if TYPE_CHECKING:
    from cerberus_bench.workflows.predict_slides import SlideProgress
    from cerberus_bench.workflows.progress import Progress


def merge(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a slide, or the one that `predict` wrote slides to.")
    ],
    as_json: AsJson = False,
) -> None:
    """Join the shards of slides that `predict --shard i/n` did in parts."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.predict_slides import merge as run

    done = run(folder)
    if as_json:
        show.print_json(done)
    else:
        show_slides(done)


def cohort(
    folder: Annotated[Path, typer.Argument(help="Folder that `predict` wrote slides to.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write. Default: FOLDER/cohort.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--license", help="Of the table, as the Hub calls it; `push` asks for one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sum up many slides in one table, a row a slide: parquet, CSV and a card."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.cohort import cohort as run

    done = run(folder, out, licence=licence)
    if as_json:
        show.print_json(done)
        return
    shown = [c for c in _SHOWN if c in done["columns"]]
    rows = [[_short(row[column]) for column in shown] for row in done["rows"]]
    show.table(f"read by {done['model']}", shown, rows)
    for name in done["unfinished"]:
        show.out.print(f"[yellow]unfinished[/], left out: {name}", soft_wrap=True)
    what = f"{len(rows)} slides, {len(done['columns'])} columns"
    show.out.print(f"{what} -> {done['out']}", soft_wrap=True)


_SHOWN = (
    "slide",
    "tissue_mm2",
    "nuclei_n",
    "nuclei_per_mm2",
    "gland_n",
    "gland_area_median_um2",
    "lumen_share_of_glands",
)


def _short(value: str | int | float | None) -> str | int | float | None:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def show_slides(done: Sequence[dict[str, Any]]) -> None:
    """A table of what was found on slides, and what is left to do."""
    from cerberus_bench.cli import show

    merged = [row for row in done if row["objects"] is not None]
    if merged:
        tasks = list(dict.fromkeys(task for row in merged for task in row["objects"]))
        rows = [
            [row["slide"], *map(row["objects"].get, tasks), *(_short(row[key]) for key in _COSTS)]
            for row in merged
        ]
        show.table("", ["slide", *tasks, *_COSTS.values()], rows)
    for row in done:
        n, left = row["shards"], row["n_missing"]
        if row in merged:
            line = f"objects.parquet, objects.geojson.gz, overlay.png -> {row['out']}"
        elif left:
            line = f"{row['slide']}: {n - left} of {n} shards are done, {left} are for other parts"
        else:
            line = f"{row['slide']}: all {n} shards are done: cerberus-bench merge {row['out']}"
        show.out.print(line, soft_wrap=True, markup=False)


_COSTS = {
    "tissue_mm2": "tissue mm2",
    "px_read_per_px": "px read / px",
    "seconds": "seconds",
    "peak_memory_gib": "peak GiB",
}


@contextmanager
def slide_progress() -> "Iterator[tuple[Progress, SlideProgress]]":
    """Bars on stderr, gone when done: inputs, and the slide at hand with its speed."""
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from cerberus_bench.cli.show import err

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as shown:
        inputs = shown.add_task("", total=None, note="")
        bars: dict[str, Any] = {}

        def advance(done: int, total: int, what: str) -> None:
            note = f"{done}/{total}"
            shown.update(inputs, completed=done, total=total, description=what, note=note)

        def on_slide(name: str, step: Any) -> None:
            if name not in bars:
                bars[name] = shown.add_task(escape(name), total=step.px_all, note="")
            elapsed = shown.tasks[shown.task_ids.index(bars[name])].elapsed or 0
            speed = f", {step.px_done / 1e6 / elapsed:.2f} Mpx/s" if elapsed else ""
            note = f"{step.px_done / 1e6:.0f}/{step.px_all / 1e6:.0f} Mpx{speed}"
            note += f", {step.nuclei:,} nuclei" if step.nuclei else ""
            shown.update(bars[name], completed=step.px_done, note=note)

        yield advance, on_slide
