"""Options that several verbs share, declared once."""

from pathlib import Path
from typing import Annotated

import typer

from cerberus_bench.schema import running

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]

Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="NAME|DIR",
        help="Dataset name, harmonised folder, or ORG/NAME[@REVISION] on the Hub; repeat it, or"
        " separate by commas. Default: the embedded phantom.",
    ),
]

Split = Annotated[
    str, typer.Option(help="test, validation, train, or official:PART for the source's own split.")
]

Fold = Annotated[int, typer.Option(min=1, max=3, help="Which of the three folds is the test fold.")]

Results = Annotated[Path, typer.Option("--out", help="Folder for result records.")]

Repo = Annotated[str, typer.Option("--repo", metavar="ORG/NAME", help="Repository on the Hub.")]

Tag = Annotated[str | None, typer.Option(help="Immutable name of this state.")]

Private = Annotated[bool, typer.Option("--private", help="Make a new repository private.")]

Trust = Annotated[
    bool,
    typer.Option("--trust", help="Allow a MODEL of the form module:factory, which runs its code."),
]


Mode = Annotated[
    running.Mode,
    typer.Option(help="exact: the windows of the model's card; fast: larger ones, see `parity`."),
]

Precision = Annotated[running.Precision, typer.Option(help="Number type of the network.")]

Backend = Annotated[
    running.Backend,
    typer.Option(help="What computes the network; openvino is for CPUs and an extra of that name."),
]


FreezeEncoder = Annotated[
    bool | None,
    typer.Option(
        "--freeze-encoder/--tune-encoder",
        help="Train decoders and heads only. Default: the recipe's, or all is trained.",
    ),
]


def split_commas(values: list[str] | None, default: tuple[str, ...] = ()) -> list[str]:
    """Flatten `--data a,b --data c` to a, b, c."""
    parts = [part.strip() for value in values or default for part in value.split(",")]
    return [part for part in parts if part]
