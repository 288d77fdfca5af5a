"""`harmonize`: source files to a harmonised folder."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cerberus_bench.workflows.progress import Progress

if TYPE_CHECKING:
    from cerberus_bench.hub.recipe import PulledRecipe
    from cerberus_bench.loaders.build import HarmoniseSummary

__all__ = ["HarmoniseSummary", "harmonize"]


def harmonize(
    name: str,
    source: Path,
    out: Path | None = None,
    *,
    mpp: float | None = 0.5,
    allow_partial: bool = False,
    recipe: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> "HarmoniseSummary":
    """Bring a source dataset to one resolution, one ontology and leakage-safe folds.

    Args:
        name: dataset name, or `folder` for images of your own that a dataset.toml describes.
        source: its folder or zip.
        out: folder to write, `data/<name>` when None; a folder's name is that in dataset.toml.
        mpp: microns per pixel of the result; None keeps the source's.
        allow_partial: go on where images of the complete source are missing.
        recipe: published recipe (ORG/NAME[@revision], or a folder) that every record is compared
            with before anything is written. None = the one of this dataset that was pulled last,
            if it is for this resolution; "none" = compare with none.
        workers: images that are worked on at a time; None = one for each core. The result is the
            same.
        progress: how far it is.

    Raises:
        DataError: the source is not what it should be or not complete, or `out` holds something
            else, or records are not those of the recipe; nothing is written then.
    """
    from cerberus_bench.loaders.build import harmonise_source
    from cerberus_bench.loaders.folders import check_replaceable, whole_folder
    from cerberus_bench.loaders.registry import FOLDER, reader_of
    from cerberus_bench.workflows.pull import find_recipe

    reader = reader_of(name, source)
    own = reader.spec.name
    out = out or Path("data") / own
    expected = None if name == FOLDER and recipe is None else find_recipe(own, recipe)
    if expected and recipe is None and expected.recipe.mpp != mpp:
        expected = None

    def build(folder: Path) -> "HarmoniseSummary":
        return harmonise_source(
            reader,
            source,
            folder,
            mpp=mpp,
            allow_partial=allow_partial,
            workers=workers,
            progress=progress,
        )

    if expected is None:
        return build(out)
    check_replaceable(out, own)
    with whole_folder(out) as draft:
        done = build(draft)
        return _proved(done, expected, out, allow_partial)


def _proved(
    done: "HarmoniseSummary", expected: "PulledRecipe", out: Path, allow_partial: bool
) -> "HarmoniseSummary":
    """The summary of a rebuild whose every record is the recipe's.

    Raises:
        DataError: one is not.
    """
    from cerberus_bench.hub.recipe import prove_rebuild
    from cerberus_bench.loaders.table import ALL, open_table

    rebuilt = open_table(done.out, split=ALL)
    n_equal = prove_rebuild(rebuilt, expected, allow_partial=allow_partial)
    proof = {f"records equal to the recipe {expected.source}": n_equal}
    return replace(done, out=out, notes={**done.notes, **proof})
