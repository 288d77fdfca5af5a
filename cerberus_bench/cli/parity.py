"""The verb parity."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cerberus_bench.cli.options import AsJson, Fold, Split, split_commas

if TYPE_CHECKING:
    from cerberus_bench.schema.parity import ParityReport

Bound = Annotated[float, typer.Option(min=0, max=1, help="Least agreement that passes.")]
WAYS = ("way", "verdict", "speed", "largest difference", "tissue")
TASKS = ("way", "task", "objects", "PQ", "Dice", "classes")


def parity(
    model: Annotated[
        str, typer.Argument(help="Zoo name, model file, hf:ORG/NAME[@REVISION] or random:NAME.")
    ],
    data: Annotated[
        str, typer.Option("--data", metavar="NAME|DIR", help="Only its images are used.")
    ] = "phantom",
    split: Split = "validation",
    fold: Fold = 3,
    modes: Annotated[
        list[str] | None,
        typer.Option(
            help="Ways to run, such as fast-bf16-openvino; repeat, or separate by commas. Default:"
            " all that can be measured here."
        ),
    ] = None,
    images: Annotated[
        int, typer.Option(min=1, help="At most so many, evenly spaced over the split.")
    ] = 24,
    mosaic: Annotated[
        int,
        typer.Option(
            min=1,
            help="Lay so many by so many images side by side: for images so small that fast mode"
            " lays no other windows.",
        ),
    ] = 1,
    min_pq: Bound = 0.99,
    min_dice: Bound = 0.995,
    min_classes: Bound = 0.99,
    min_tissue: Bound = 0.99,
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Put what was measured into the card of the model file, in place."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure how far fast mode, bf16 and OpenVINO are from exact fp32 torch; 1 if too far."""
    from cerberus_bench.cli import show
    from cerberus_bench.schema.parity import ParityBounds
    from cerberus_bench.workflows.parity import measure_parity

    bounds = ParityBounds(pq=min_pq, dice=min_dice, classes=min_classes, tissue=min_tissue)
    with show.progress() as progress:
        reports = measure_parity(
            model,
            data,
            split=split,
            fold=fold,
            ways=split_commas(modes),
            bounds=bounds,
            n_images=images,
            mosaic=mosaic,
            write=write,
            progress=progress,
        )
    if as_json:
        show.print_json(
            [{"way": r.variant, "verdict": r.verdict, **r.model_dump(mode="json")} for r in reports]
        )
    else:
        _show(reports, write)
    if any(report.verdict == "failed" for report in reports):
        raise typer.Exit(1)


def _show(reports: Sequence["ParityReport"], written: bool) -> None:
    from cerberus_bench.cli import show

    show.table("", TASKS, [row for report in reports for row in _task_rows(report)])
    show.out.print()
    show.table("", WAYS, [_way_row(report) for report in reports])
    first = reports[0]
    size = f"mosaics of {first.mosaic} x {first.mosaic} images" if first.mosaic > 1 else "images"
    bounds = ", ".join(f"{name} {value:g}" for name, value in first.bounds)
    show.out.print(
        f"\nagainst exact fp32 torch on {first.data.n_images} {size} of {first.data.name},"
        f" {first.data.split}; speed is that of the network; at least {bounds}",
        markup=False,
    )
    if any(report.mode == "fast" and not report.windows_differ for report in reports):
        show.warn(
            "these images are so small that fast mode lays the same windows as exact mode: give"
            " larger ones, or a larger --mosaic."
        )
    if written:
        show.out.print("written into the model's card; its file has another hash now")


def _task_rows(report: "ParityReport") -> list[list[object]]:
    return [
        [report.variant, task.task, task.n_objects]
        + [_share(value) for value in (task.pq, task.dice, task.classes)]
        for task in report.tasks
    ]


def _way_row(report: "ParityReport") -> list[object]:
    speed, difference = f"{report.speed:.2f}x", f"{report.largest_difference:.1e}"
    return [report.variant, report.verdict, speed, difference, _share(report.tissue)]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
