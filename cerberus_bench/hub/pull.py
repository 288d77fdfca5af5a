"""Snapshots of repositories at a commit, in the cache that `huggingface_hub` keeps."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cerberus_bench.hub.checksums import TamperedError, check_card, check_sums, read_sums
from cerberus_bench.hub.client import Kind, client, hub_errors
from cerberus_bench.hub.dataset_release import Form
from cerberus_bench.hub.places import HubPlace
from cerberus_bench.hub.recipe import RECIPE_NAME, RECORDS_NAME
from cerberus_bench.loaders.metadata import FILE_NAME, TableMetadata, read_metadata
from cerberus_bench.loaders.writer import DATA_FOLDER
from cerberus_bench.schema.errors import DataError


@dataclass(frozen=True, slots=True)
class PulledDataset:
    """A dataset repository on this disk, its files compared with their published hashes."""

    folder: Path
    place: HubPlace
    """With the commit as revision."""
    form: Form


def snapshot(place: HubPlace, kind: Kind, patterns: Collection[str] | None = None) -> Path:
    """All files (or those that match) of a repository at a revision.

    A commit that is on this disk is opened without a network; a branch or tag is looked up, and
    where the Hub cannot be reached, taken as it was at the last pull.

    Returns:
        The folder; its name is the commit.

    Raises:
        HubAccessError: gated, and this user was not let in.
        DataError: there is no such repository or revision.
        HubError: not reachable, and not on this disk.
    """
    from huggingface_hub import snapshot_download

    with hub_errors(place, kind):
        return Path(
            snapshot_download(
                place.repo,
                repo_type=kind,
                revision=place.revision,
                allow_patterns=None if patterns is None else list(patterns),
                library_name="cerberus-bench",
            )
        )


def read_remote(place: HubPlace, kind: Kind, path: str) -> bytes | None:
    """One file of a repository; None where it has none of that name.

    Raises:
        DataError, HubError: as `snapshot`.
    """
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with hub_errors(place, kind):
        try:
            found = client().hf_hub_download(
                place.repo, path, repo_type=kind, revision=place.revision
            )
        except RemoteEntryNotFoundError:
            return None
    return Path(found).read_bytes()


def pull_dataset(place: HubPlace) -> PulledDataset:
    """A dataset that `push` published: its rows, or its recipe.

    Raises:
        TamperedError: a file is not the one that was published.
        DataError: it was not published by this suite; or as `snapshot`.
        HubError: as `snapshot`.
    """
    folder = snapshot(place, "dataset")
    pinned = HubPlace(place.repo, folder.name)
    form = form_in(folder, pinned)
    check_sums(folder, published_sums(folder, form, pinned), str(pinned))
    return PulledDataset(folder, pinned, form)


def form_in(folder: Path, place: HubPlace) -> Form:
    """Whether a snapshot holds rows or a recipe.

    Raises:
        DataError: neither.
    """
    for form, name in ((Form.RECIPE, RECIPE_NAME), (Form.PIXELS, FILE_NAME)):
        if (folder / name).is_file():
            return form
    raise DataError(
        f"{place} holds neither {FILE_NAME} nor {RECIPE_NAME}, so it is no dataset of this suite."
        " Datasets in other forms are opened with `datasets.load_dataset`."
    )


def data_files(metadata: TableMetadata) -> set[str]:
    """Files with the rows of a harmonised folder."""
    return {f"{DATA_FOLDER}/{split}.parquet" for split in metadata.splits}


def published_sums(folder: Path, form: Form, place: HubPlace) -> dict[str, str]:
    """Path -> sha256 as published; every file that is read is among them, and the card agrees.

    Raises:
        TamperedError: a file is not listed, or the card shows another hash.
        DataError: there is no list.
    """
    sums = read_sums(folder)
    if form is Form.RECIPE:
        needed = {RECIPE_NAME, RECORDS_NAME}
    else:
        needed = {FILE_NAME} | data_files(read_metadata(folder))
    unlisted = sorted(set(needed) - set(sums))
    if unlisted:
        raise TamperedError(
            f"{place}: SHA256SUMS does not list {', '.join(unlisted)}, so nobody can tell whether"
            " they were changed. Take another revision."
        )
    check_card(folder, sums, str(place))
    return sums
