"""Verbs about the Hub: push, push-model, submit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cerberus_bench.cli.options import AsJson, Private, Repo, Tag

if TYPE_CHECKING:
    from cerberus_bench.workflows.push_cohort import Published


def push(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|DIR", help="Dataset, harmonised folder, or cohort."),
    ],
    repo: Repo,
    pixels: Annotated[
        bool | None,
        typer.Option(
            "--pixels/--recipe",
            help="Insist on pixels, or publish the recipe alone. Default: as the licence allows.",
        ),
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Default: v and the dataset's version.")] = None,
    gated: Annotated[
        Literal["auto", "manual"] | None, typer.Option(help="Let readers ask for access.")
    ] = None,
    private: Private = False,
    as_json: AsJson = False,
) -> None:
    """Publish a harmonised dataset: its pixels, or where the licence forbids that, its recipe.

    The folder that `cohort` wrote is published as it is.
    """
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.push import push as run
    from cerberus_bench.workflows.push_cohort import is_cohort, push_cohort

    if is_cohort(Path(name)):
        if pixels is not None:
            raise typer.BadParameter("a cohort has neither pixels nor a recipe")
        _show_cohort(push_cohort(Path(name), repo, tag=tag, private=private, gated=gated), as_json)
        return
    form = None if pixels is None else "pixels" if pixels else "recipe"
    with show.progress() as progress:
        done = run(name, repo, form=form, tag=tag, private=private, gated=gated, progress=progress)
    if as_json:
        show.print_json(done.to_dict())
        return
    say = show.out.print
    published = done.published
    what = f"[bold]{done.dataset}[/]: {done.form} of {done.n_records} records"
    say(f"{what} -> {published.url}", soft_wrap=True)
    for part, n in done.missing.items():
        say(f"  [yellow]not complete[/]: {n} {part} images of the source are missing")
    say(f"  {', '.join(published.changed) or 'nothing changed, no commit'}", soft_wrap=True)
    say(f"  tag {published.tag}, commit {published.commit}", soft_wrap=True)
    verb = "download" if done.form == "recipe" else "eval MODEL --data"
    say(f"  cerberus-bench {verb} {repo}@{published.tag}", soft_wrap=True)


def _show_cohort(published: "Published", as_json: bool) -> None:
    from dataclasses import asdict

    from cerberus_bench.cli import show

    if as_json:
        show.print_json(asdict(published))
        return
    show.out.print(f"cohort -> {published.url}", soft_wrap=True)
    changed = ", ".join(published.changed) or "nothing changed, no commit"
    show.out.print(f"  {changed}; commit {published.commit}", soft_wrap=True)


def push_model(
    model: Annotated[str, typer.Argument(help="Model file, or a zoo name with shipped weights.")],
    repo: Repo,
    results: Annotated[
        Path | None, typer.Option(help="Folder of result records; those of this file go along.")
    ] = None,
    tag: Tag = None,
    private: Private = False,
    as_json: AsJson = False,
) -> None:
    """Publish a model file with its card and its scores."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.push_model import push_model as run

    done = run(model, repo, results=results, tag=tag, private=private)
    if as_json:
        show.print_json(done.to_dict())
        return
    published = done.published
    show.out.print(f"{done.model}, {len(done.results)} results -> {published.url}", soft_wrap=True)
    changed = ", ".join(published.changed) or "nothing changed, no commit"
    show.out.print(f"  {changed}", soft_wrap=True)
    show.out.print(f"  cerberus-bench eval hf:{repo}@{published.commit[:12]}", soft_wrap=True)


def submit(
    result: Annotated[Path, typer.Argument(help="Result file, or a folder of them.")],
    repo: Repo,
    as_json: AsJson = False,
) -> None:
    """Offer results to a repository of results, as a pull request."""
    from cerberus_bench.cli import show
    from cerberus_bench.workflows.submit import submit as run

    done = run(result, repo)
    if as_json:
        show.print_json({"repo": done.repo, "url": done.url, "files": list(done.files)})
    elif done.url is None:
        show.out.print(f"{repo} holds these results already; nothing was offered")
    else:
        show.out.print(f"{len(done.files)} files -> {done.url}", soft_wrap=True)
