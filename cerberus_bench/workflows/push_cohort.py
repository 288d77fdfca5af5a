"""`push` of what `cohort` wrote: the table, its CSV and its card to a dataset repository."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.hub.checksums import FILE_NAME as SUMS_NAME
from cerberus_bench.hub.checksums import format_sums
from cerberus_bench.hub.publish import LocalFile, Published, Release, Target, publish
from cerberus_bench.hub.recipe import RECIPE_NAME
from cerberus_bench.loaders.metadata import FILE_NAME as DATASET_NAME
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.cohort import CARD_NAME, CSV_NAME, TABLE_NAME

if TYPE_CHECKING:
    from cerberus_bench.hub.publish import Gate

__all__ = ["Published", "is_cohort", "push_cohort"]


def is_cohort(folder: Path) -> bool:
    """Whether `cohort` wrote this folder."""
    return (folder / TABLE_NAME).is_file()


def push_cohort(
    folder: Path,
    repo: str,
    *,
    tag: str | None = None,
    private: bool = False,
    gated: "Gate | None" = None,
) -> Published:
    """Publish a cohort in one commit.

    Args:
        folder: as `cohort` wrote it.
        repo: ORG/NAME; made if it does not exist.
        tag: immutable name of this state; none if None.
        private: make a new repository private.
        gated: let readers ask for access; None leaves it.

    Raises:
        DataError: a file is missing, the card states no licence, the tag holds another state, or
            the repository is for something else.
        HubError: the Hub failed.
    """
    missing = [n for n in (TABLE_NAME, CSV_NAME, CARD_NAME) if not (folder / n).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}. Run `cerberus-bench cohort` again.")
    if not _front_matter(folder / CARD_NAME).get("license"):
        raise DataError(
            f"{folder / CARD_NAME} states no licence. Run `cerberus-bench cohort --license ID`"
            " again, with the licence under which the numbers may be passed on."
        )
    files = {name: LocalFile(folder / name) for name in (TABLE_NAME, CSV_NAME)}
    sums = format_sums({name: file.sha256 for name, file in files.items()})
    release = Release(
        target=Target(repo=repo, tag=tag, private=private, gated=gated),
        kind="dataset",
        files={
            **files,
            SUMS_NAME: LocalFile(sums.encode()),
            CARD_NAME: LocalFile(folder / CARD_NAME),
        },
        message="cohort of slides",
        foreign=(DATASET_NAME, RECIPE_NAME),
        loose=(CARD_NAME,),
    )
    return publish(release)


def _front_matter(card: Path) -> dict[str, Any]:
    import yaml

    parts = card.read_text(encoding="utf-8").split("---\n", 2)
    try:
        found = yaml.safe_load(parts[1]) if len(parts) == 3 else {}
    except yaml.YAMLError:
        found = {}
    return found if isinstance(found, dict) else {}
