"""The application that the verbs are gathered in."""

from typing import Annotated

import typer

from cerberus_bench import __version__
from cerberus_bench.cli import data, experiments, hub, models, parity, scores, slides

app = typer.Typer(
    name="cerberus-bench",
    help="Benchmark and train multi-task models for histology images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cerberus-bench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("list")(data.list_)
app.command()(data.download)
app.command()(data.harmonize)
app.command()(data.audit)
app.command()(data.export)
app.command()(models.train)
app.add_typer(experiments.app, name="experiment")
app.command("eval")(scores.evaluate)
app.command()(scores.score)
app.command()(models.predict)
app.command()(slides.merge)
app.command()(slides.cohort)
app.command()(parity.parity)
app.command()(models.convert)
app.command()(scores.leaderboard)
app.command()(hub.push)
app.command()(hub.push_model)
app.command()(hub.submit)
