"""Verbs about models: train, predict, convert."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cerberus_bench.cli.options import (
    AsJson,
    Backend,
    Data,
    Fold,
    FreezeEncoder,
    Mode,
    Precision,
    Trust,
    split_commas,
)
from cerberus_bench.schema.running import SHARD_PX


def train(
    out: Annotated[Path, typer.Option(help="Folder for the model, its checkpoints and its log.")],
    tasks: Annotated[
        list[str] | None,
        typer.Option(help="Tasks to learn; repeat, or separate by commas. Default: all."),
    ] = None,
    data: Data = None,
    arch: Annotated[
        str | None,
        typer.Option(
            help="A name of `list models`, or cerberus-transformers:SOURCE: the network around a"
            " backbone of transformers, a folder or ORG/NAME of the Hub. Default: the recipe's."
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="A shipped recipe by name, or a TOML file.")
    ] = "default",
    name: Annotated[
        str | None, typer.Option(help="Name of the weights on the board. Default: that of OUT.")
    ] = None,
    fold: Fold = 3,
    seed: Annotated[int | None, typer.Option(help="Overrides the recipe's seed.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Overrides the recipe's steps.")] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Overrides the recipe's time budget.")
    ] = None,
    parts: Annotated[
        int,
        typer.Option(min=1, help="Work a batch off in parts: less memory, the same gradient."),
    ] = 1,
    encoder_weights: Annotated[
        Path | None,
        typer.Option(
            help="Start with the encoder of this: a zoo name, a model file, or a ResNet with"
            " torchvision's names."
        ),
    ] = None,
    random_encoder: Annotated[
        bool,
        typer.Option(
            "--random-encoder", help="Do not load the weights that a transformers backbone has."
        ),
    ] = False,
    freeze_encoder: FreezeEncoder = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where OUT stopped.")] = False,
    tensorboard: Annotated[
        bool | None,
        typer.Option(
            "--tensorboard/--no-tensorboard",
            help="Events for TensorBoard beside the CSV logs. Default: if it is installed.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train one network on one or more tasks. Never opens a test split."""
    from cerberus_bench.cli import show
    from cerberus_bench.cli.training import watch
    from cerberus_bench.workflows.train import train as run

    with watch() as on_progress:
        done = run(
            tasks=split_commas(tasks),
            data=split_commas(data),
            arch=arch,
            recipe=recipe,
            name=name,
            out=out,
            fold=fold,
            seed=seed,
            steps=steps,
            max_minutes=max_minutes,
            parts=parts,
            encoder_weights=encoder_weights,
            random_encoder=random_encoder,
            freeze_encoder=freeze_encoder,
            resume=resume,
            tensorboard=tensorboard,
            on_progress=on_progress,
            on_warning=show.warn,
        )
    if done["rank"]:
        return  # of several processes the first speaks
    if as_json:
        show.print_json(done)
    else:
        show.out.print(
            f"{done['steps']} steps in {done['seconds'] / 60:.1f} min, best validation"
            f" {done['best_score']:.4f} at step {done['best_step']}, {done['wait_share']:.1%} of"
            f" the time spent waiting for data -> {done['model']}"
            + "".join(f"\n{name} stayed as it was" for name in done["frozen"])
        )


def predict(
    inputs: Annotated[list[Path], typer.Argument(help="Images, whole slides, or folders of both.")],
    model: Annotated[str, typer.Option(help="Zoo name or model file.")],
    mpp: Annotated[
        float | None,
        typer.Option(
            help="Microns per pixel: images do not state it; overrides what slides state."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write below.")] = Path("predictions"),
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Slides: image over the whole slide that is not 0 where there is tissue."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Slides: do every N-th shard only; then run `merge`."),
    ] = None,
    shard_px: Annotated[
        int, typer.Option(help="Slides: side of a shard at the model's mpp, a multiple of 1024.")
    ] = SHARD_PX,
    engine: Annotated[
        Literal["threads", "ray"],
        typer.Option(help="Slides: what shares out the shards. Ray joins the one of RAY_ADDRESS."),
    ] = "threads",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Slides: threads that cut out objects; half of the cores. On Ray, processes that"
            " do all of a shard; one a GPU.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Slides: begin anew instead of going on.")
    ] = False,
    mode: Mode = "exact",
    precision: Precision = "fp32",
    backend: Backend = "torch",
    trust: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Find nuclei, glands, lumina and signet ring cells in images, and all but the last in slides.

    Images become label maps, tables and overlays; slides tables of objects with outlines. A slide
    goes on where an earlier run stopped.
    """
    from cerberus_bench.cli import show
    from cerberus_bench.cli.slides import show_slides, slide_progress
    from cerberus_bench.workflows.models import find_model
    from cerberus_bench.workflows.networks import parity_warning
    from cerberus_bench.workflows.predict import predict as run
    from cerberus_bench.workflows.predict_slides import SlideOptions, parse_part

    predictor = find_model(model, trust=trust, mode=mode, precision=precision, backend=backend)
    show.warn(parity_warning(predictor.info))
    options = SlideOptions(
        mpp=mpp,
        mask=mask,
        shard_px=shard_px,
        part=None if shard is None else parse_part(shard),
        engine=engine,
        workers=workers,
        overwrite=overwrite,
    )
    with slide_progress() as (progress, on_slide):
        done = run(inputs, predictor, out, options, progress=progress, slide_progress=on_slide)
    if as_json:
        show.print_json(done)
        return
    if images := [row for row in done if "image" in row]:
        tasks = sorted({task for row in images for task in row["objects"]})
        rows = [[row["image"], *(row["objects"].get(task) for task in tasks)] for row in images]
        show.table("", ["image", *tasks], rows)
        show.out.print(f"label maps, objects.csv and overlay.png of each image -> {out}")
    show_slides([row for row in done if "slide" in row])


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="The authors' weights.tar.")],
    out: Annotated[Path, typer.Argument(help="Model file to write (.pt or .safetensors).")],
    as_json: AsJson = False,
) -> None:
    """Turn published Cerberus weights into a model file."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.convert import convert as run

    done = run(checkpoint, out)
    if as_json:
        show.print_json(done)
    else:
        show.out.print(f"{', '.join(done['tasks'])}: {done['parameters']:,} parameters -> {out}")
