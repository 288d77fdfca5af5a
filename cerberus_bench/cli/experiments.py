"""The verb `experiment`: comparisons that train and score many models."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cerberus_bench.cli.options import AsJson, Data, FreezeEncoder, split_commas

if TYPE_CHECKING:
    from cerberus_bench.workflows.comparison import ExperimentProgress

app = typer.Typer(help="Train and score many models under one budget.", no_args_is_help=True)


Size = Annotated[
    str, typer.Option(help="Size of the networks: tiny, resnet18, resnet34, resnet50.")
]
Steps = Annotated[
    int | None, typer.Option(min=1, help="Steps of every network. Default: the recipe's.")
]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds.")]
Folds = Annotated[
    list[int] | None,
    typer.Option("--fold", min=1, max=3, help="Test fold; repeat for several. Default: 3."),
]
Runs = Annotated[
    Path | None, typer.Option("--out", help="Folder of the runs; what is in it goes on.")
]
RecordsFolder = Annotated[Path, typer.Option(help="Folder for result records.")]


@app.command("stl-vs-mtl")
def single_against_multi(
    data: Data = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            help="Tasks to compare; repeat, or separate by commas. Default: those of the published"
            " network."
        ),
    ] = None,
    size: Size = "tiny",
    recipe: Annotated[
        str, typer.Option(help="A shipped recipe by name, or a TOML file.")
    ] = "default",
    steps: Steps = None,
    seeds: Seeds = 3,
    fold: Folds = None,
    out: Runs = None,
    results: RecordsFolder = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Compare single-task networks with one multi-task network; stopped, it goes on."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.experiment import single_against_multi as run
    from cerberus_bench.workflows.leaderboard import render_kinds

    with _watch() as on_progress:
        done = run(
            out=out or Path("runs/stl-vs-mtl"),
            results=results,
            data=split_commas(data, ("phantom",)),
            tasks=split_commas(tasks),
            size=size,
            recipe=recipe,
            steps=steps,
            seeds=seeds,
            folds=fold or (3,),
            on_progress=on_progress,
        )
    _tell(done, results, as_json)
    if not as_json:
        show.out.print(render_kinds(results, "terminal"))


@app.command("transfer")
def transfer(
    task: Annotated[str, typer.Option(help="nuclei (their classes) or signet_ring.")],
    init: Annotated[
        list[str],
        typer.Option(
            metavar="random|NAME=FILE",
            help="First weights: random, or a name and a file that `train --encoder-weights` takes;"
            " {seed} and {fold} in it stand for a run's own. Repeat it.",
        ),
    ],
    data: Data = None,
    size: Size = "tiny",
    recipe: Annotated[
        str | None,
        typer.Option(help="A shipped recipe by name, or a TOML file. Default: the task's."),
    ] = None,
    freeze_encoder: FreezeEncoder = None,
    steps: Steps = None,
    seeds: Seeds = 3,
    fold: Folds = None,
    out: Runs = None,
    results: RecordsFolder = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Compare what a task gains from several first weights, all else equal; stopped, it goes on."""
    from cerberus_bench.workflows.transfer import transfer as run

    with _watch() as on_progress:
        done = run(
            task=task,
            initial=init,
            out=out or Path("runs") / f"transfer-{task}",
            results=results,
            data=split_commas(data, ("phantom",)),
            size=size,
            recipe=recipe,
            freeze_encoder=freeze_encoder,
            steps=steps,
            seeds=seeds,
            folds=fold or (3,),
            on_progress=on_progress,
        )
    _tell(done, results, as_json)


def _tell(done: dict[str, Any], results: Path, as_json: bool) -> None:
    """Budget and board of an experiment."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.leaderboard import render_board

    if as_json:
        show.print_json(done)
        return
    plan = done["plan"]
    show.out.print(
        f"{done['runs']} networks ({done['runs_made']} made now), {plan['steps']} steps each of the"
        f" recipe {plan['recipe']}, seeds {', '.join(map(str, plan['seeds']))}, test folds"
        f" {', '.join(map(str, plan['folds']))}\n"
    )
    show.out.print(render_board(results, "terminal"))


@contextmanager
def _watch() -> Iterator["Callable[[ExperimentProgress], None]"]:
    """A bar over all runs on stderr; a finished training is printed above it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from cerberus_bench.cli import show

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("run {task.fields[run]} of {task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=show.err, transient=True) as shown:
        bar = shown.add_task("", total=1, run=1)

        def advance(now: "ExperimentProgress") -> None:
            share = 1.0 if now.training is None else now.training.fraction
            what = f"{now.run.folder}: " + ("scoring" if now.training is None else "training")
            shown.update(
                bar,
                description=what,
                total=now.total,
                completed=now.done + 0.9 * share,
                run=now.done + 1,
            )
            if now.training is not None and now.training.fraction >= 1:
                show.err.print(
                    f"{now.run.folder}: {now.training.step} steps,"
                    f" {now.training.seconds / 60:.1f} min, best validation"
                    f" {now.training.best_score:.4f}"
                )

        yield advance
