"""Verbs about whole slides: cohort."""

from pathlib import Path
from typing import Annotated

import typer

from cerberus_bench.cli.options import AsJson


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
