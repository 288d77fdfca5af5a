"""Verbs about data: list, download, harmonize, audit, export."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cerberus_bench.cli.options import AsJson, Fold, Split


class What(StrEnum):
    """What `list` lists."""

    datasets = "datasets"
    models = "models"
    tasks = "tasks"


class ExportFormat(StrEnum):
    """Formats of `export`: two of datasets, the others of slides."""

    png = "png"
    coco = "coco"
    qupath = "qupath"
    sqlite = "sqlite"
    spatialdata = "spatialdata"
    ome_zarr = "ome-zarr"


_COLUMNS = {
    What.datasets: (
        "name",
        "tasks",
        "images",
        "objects",
        "mpp",
        "licence",
        "redistribution",
        "evidence",
        "state",
    ),
    What.models: ("name", "outputs", "parameters", "gflop", "weights"),
    What.tasks: ("name", "kind", "classes"),
}


def list_(
    what: Annotated[What, typer.Argument(help="datasets, models or tasks.")] = What.datasets,
    task: Annotated[str | None, typer.Option(help="Only what knows this task.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/datasets.md or docs/models.md.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List datasets, models or tasks."""
    from cerberus_bench.cli import show
    from cerberus_bench.schema.errors import DataError
    from cerberus_bench.schema.tasks import TASKS
    from cerberus_bench.workflows import catalogue

    if task is not None and task not in TASKS:
        raise DataError(f"{task!r} is no task; the tasks are {', '.join(TASKS)}.")
    if markdown:
        pages = {
            What.datasets: catalogue.datasets_markdown,
            What.models: catalogue.models_markdown,
        }
        if what not in pages or task is not None:
            raise DataError("--markdown is the page of all datasets or models; leave out the rest.")
        print(pages[what](), end="")
        return
    if what is What.datasets:
        rows = catalogue.datasets(task)
    elif what is What.models:
        rows = catalogue.models(task)
    else:
        rows = [row for row in catalogue.tasks() if task in (None, row["name"])]
    if as_json:
        show.print_json(rows)
        return
    columns = _COLUMNS[what]
    show.table("", columns, [[_flat(row[column]) for column in columns] for row in rows])
    if what is What.datasets:
        show.out.print(
            "folder: images of your own, harmonize folder --source DIR (docs/folder.md)."
        )
    if what is What.models:
        show.out.print(
            "cerberus-transformers:SOURCE: the network around a backbone of transformers, to train"
            " (docs/training.md)."
        )


def _flat(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{n:,} {name}" for name, n in value.items())
    return ", ".join(value) if isinstance(value, list) else value


def download(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME[@REVISION]...", help="Datasets of `list`, or ORG/NAME on the Hub."
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option(help="The files go to DIR/NAME. Default: the cache folder.", metavar="DIR"),
    ] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept the licences; remembered.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pull datasets from the Hub; fetch the source files of others, or say how to obtain them."""
    from cerberus_bench.cli import downloads, show
    from cerberus_bench.workflows.download import State
    from cerberus_bench.workflows.download import download as run

    agree = None if as_json else downloads.agree
    with downloads.progress() as progress:
        done = run(names, to, accept_licence=accept_license, agree=agree, progress=progress)
    if as_json:
        show.print_json(downloads.downloads_json(done))
    else:
        downloads.show_downloads(done)
    if any(one.state is State.GATED for one in done):
        raise typer.Exit(2)


def harmonize(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A dataset of `list datasets`; or `folder`: images of your own, described by a"
            " dataset.toml (docs/folder.md).",
        ),
    ],
    source: Annotated[Path, typer.Option(help="Folder or zip with the source files.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: data/NAME.")] = None,
    mpp: Annotated[str, typer.Option(help="Microns per pixel of the result, or `native`.")] = "0.5",
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Go on where parts of the source are missing.")
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Published recipe, ORG/NAME[@REVISION] or a folder, that every record must equal;"
            " `none` for none. Default: the one downloaded last.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Images worked on at a time. Default: one for each core."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring a source dataset to one resolution, one ontology and leakage-safe folds."""
    from cerberus_bench.cli import show
    from cerberus_bench.cli.harmonized import show_summary, summary_json
    from cerberus_bench.workflows.harmonize import harmonize as run

    with show.progress() as progress:
        done = run(
            name,
            source,
            out,
            mpp=_mpp(mpp),
            allow_partial=allow_partial,
            recipe=recipe,
            workers=workers,
            progress=progress,
        )
    if as_json:
        show.print_json(summary_json(done))
    else:
        show_summary(done)


def _mpp(text: str) -> float | None:
    if text == "native":
        return None
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor `native`") from None


def audit(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|DIR]...", help="Datasets; all below data/ if none."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Page with pictures to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Look for duplicates, leakage over splits, and odd objects."""
    from cerberus_bench.cli import audits, show
    from cerberus_bench.workflows.audit import audit as run

    with show.progress() as progress:
        report = run(names or (), html=html, progress=progress)
    if as_json:
        show.print_json(audits.report_json(report))
    else:
        audits.show_report(report)
        if html:
            show.out.print(f"-> {html}", soft_wrap=True)
    if report.failures:
        raise typer.Exit(1)


def export(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR",
            help="Dataset, harmonised folder, or slide in a folder of `predict`.",
        ),
    ],
    form: Annotated[
        ExportFormat,
        typer.Option("--format", help="Datasets: png or coco. Slides: the others."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="What to write; must not exist. Default for slides: beside the objects."),
    ] = None,
    split: Split = "test",
    fold: Fold = 3,
    as_json: AsJson = False,
) -> None:
    """Write a harmonised dataset or the objects of a slide for other programs.

    qupath: GeoJSON. sqlite: annotation store of TIAToolbox. spatialdata: Zarr store of shapes.
    ome-zarr: label images.
    """
    from cerberus_bench.cli import show

    if form is ExportFormat.png or form is ExportFormat.coco:
        from cerberus_bench.workflows.data import open_data
        from cerberus_bench.workflows.export import export as run

        if out is None:
            raise typer.BadParameter("an exported dataset takes --out, a folder that is not there")
        with show.progress() as progress:
            source = open_data(name, split=split, fold=fold, progress=progress)
            as_png = form is ExportFormat.png
            done = run(source, out, "png" if as_png else "coco", progress=progress)
    else:
        from cerberus_bench.workflows.export_slide import export_slide

        done = export_slide(Path(name), form.value, out)
    if as_json:
        show.print_json(done)
        return
    records = f"{done['records']} records, " if "records" in done else ""
    show.out.print(f"{records}{done['objects']:,} objects -> {done['out']}", soft_wrap=True)
