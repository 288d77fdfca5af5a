"""`harmonize`: source files to a harmonised folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from cerberus_bench.workflows.progress import Progress

if TYPE_CHECKING:
    from cerberus_bench.loaders.build import HarmoniseSummary

__all__ = ["HarmoniseSummary", "harmonize"]


def harmonize(
    name: str,
    source: Path,
    out: Path | None = None,
    *,
    mpp: float | None = 0.5,
    allow_partial: bool = False,
    progress: Progress | None = None,
) -> "HarmoniseSummary":
    """Bring a source dataset to one resolution, one ontology and leakage-safe folds.

    Args:
        name: dataset name.
        source: its folder or zip.
        out: folder to write, `data/<name>` when None.
        mpp: microns per pixel of the result; None keeps the source's.
        allow_partial: go on where images of the complete source are missing.
        progress: how far it is.

    Raises:
        DataError: the source is not what it should be or not complete, or `out` holds something
            else.
    """
    from cerberus_bench.loaders.build import harmonise_source
    from cerberus_bench.loaders.registry import get

    return harmonise_source(
        get(name),
        source,
        out or Path("data") / name,
        mpp=mpp,
        allow_partial=allow_partial,
        progress=progress,
    )
