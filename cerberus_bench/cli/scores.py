"""Verbs about scores: eval, score, leaderboard."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cerberus_bench.cli.options import (
    AsJson,
    Backend,
    Data,
    Fold,
    Mode,
    Precision,
    Results,
    Split,
    Trust,
    split_commas,
)

if TYPE_CHECKING:
    from cerberus_bench.workflows.evaluate import Evaluation

Report = Annotated[
    bool, typer.Option("--report", help="Also write an HTML that shows where the model fails.")
]
Classes = Annotated[bool, typer.Option("--classes", help="Print a row for every class too.")]


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="Zoo name, model file, hf:ORG/NAME[@REVISION], random:NAME, or module:factory with"
            " --trust."
        ),
    ],
    data: Data = None,
    split: Split = "test",
    fold: Fold = 3,
    out: Results = Path("results"),
    predictions: Annotated[
        Path | None, typer.Option(help="Also keep the predictions, below this folder.")
    ] = None,
    report: Report = False,
    classes: Classes = False,
    mode: Mode = "exact",
    precision: Precision = "fp32",
    backend: Backend = "torch",
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Score a model: predictions, scores with intervals, one result record a dataset."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.evaluate import run_evaluation
    from cerberus_bench.workflows.models import find_model
    from cerberus_bench.workflows.networks import parity_warning

    predictor = find_model(model, trust=trust, mode=mode, precision=precision, backend=backend)
    show.warn(parity_warning(predictor.info))
    with show.progress() as progress:
        done = [
            run_evaluation(
                predictor,
                name,
                split=split,
                fold=fold,
                out=out,
                predictions=predictions,
                report=report,
                progress=progress,
            )
            for name in split_commas(data, ("phantom",))
        ]
    _show(done, classes, as_json)


def score(
    predictions: Annotated[Path, typer.Argument(help="A predictions folder.")],
    data: Annotated[
        str, typer.Option("--data", metavar="NAME|DIR", help="What it was predicted on.")
    ],
    out: Results = Path("results"),
    report: Report = False,
    classes: Classes = False,
    as_json: AsJson = False,
) -> None:
    """Score a folder of predictions from any framework; runs no model."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.score import score_folder

    with show.progress() as progress:
        done = score_folder(predictions, data, out=out, report=report, progress=progress)
    _show([done], classes, as_json)


def _show(done: Sequence["Evaluation"], classes: bool, as_json: bool) -> None:
    from cerberus_bench.cli import show
    from cerberus_bench.cli.score_table import show_result

    if as_json:
        show.print_json([one.to_dict() for one in done])
        return
    for one in done:
        show_result(one.result, classes=classes)
        show.out.print(f"\nresult  {one.result_path}", soft_wrap=True)
        if one.report_path:
            show.out.print(f"report  {one.report_path}", soft_wrap=True)


def leaderboard(
    results: Annotated[
        Path, typer.Argument(help="Folder of result records, or hf:ORG/NAME[@REVISION].")
    ] = Path("results"),
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page that needs no network."),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="ORG/SPACE",
            help="Publish the page and its results as a static Space on the Hub.",
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new Space private.")] = False,
    kinds: Annotated[
        bool,
        typer.Option(
            "--single-vs-multi",
            help="Only single-task against multi-task networks of the same seeds, a line a score.",
        ),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one row a score.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare models: scores with intervals, and the interval of every difference."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.leaderboard import render_board, render_kinds

    if html is not None or push is not None:
        _publish_board(results, html, push, private, as_json)
        return
    forms = {"json": as_json, "markdown": markdown, "csv": as_csv}
    form = next((name for name, wanted in forms.items() if wanted), "terminal")
    if kinds and as_csv:
        raise typer.BadParameter("--single-vs-multi has no CSV; take --json or --markdown.")
    rendered = (render_kinds if kinds else render_board)(results, form)
    if kinds and as_json:
        show.print_json(rendered)
    elif form == "terminal":
        show.out.print(rendered)
    else:
        print(rendered, end="")


def _publish_board(
    results: Path, html: Path | None, push: str | None, private: bool, as_json: bool
) -> None:
    from dataclasses import asdict

    from cerberus_bench.cli import show
    from cerberus_bench.workflows.leaderboard import push_board, write_board_page

    page = html and write_board_page(results, html)
    published = push_board(results, push, private=private) if push else None
    if as_json:
        facts = {"page": page and str(page), "published": published and asdict(published)}
        show.print_json({name: fact for name, fact in facts.items() if fact})
        return
    if page:
        show.out.print(f"page  {page}", soft_wrap=True)
    if published:
        changed = ", ".join(published.changed) or "nothing changed, no commit"
        show.out.print(f"space {published.url}\n  {changed}", soft_wrap=True)
