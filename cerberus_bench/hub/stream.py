"""Rows of a published dataset over the network, a row group at a time."""

from collections.abc import Collection, Mapping
from typing import Any

from cerberus_bench.hub.checksums import CARD_NAME, TamperedError, check_sums, refuse_other
from cerberus_bench.hub.checksums import FILE_NAME as SUMS_NAME
from cerberus_bench.hub.client import client, hub_errors
from cerberus_bench.hub.dataset_release import Form
from cerberus_bench.hub.places import HubPlace
from cerberus_bench.hub.publish import tree
from cerberus_bench.hub.pull import data_files, form_in, published_sums, snapshot
from cerberus_bench.hub.recipe import RECIPE_NAME
from cerberus_bench.loaders.metadata import FILE_NAME, TableMetadata, read_metadata
from cerberus_bench.loaders.splits import SPLITS
from cerberus_bench.loaders.table import ALL, OFFICIAL
from cerberus_bench.loaders.writer import DATA_FOLDER
from cerberus_bench.schema.errors import DataError


def stream_dataset(place: HubPlace, split: str) -> Any:
    """A split as `datasets.IterableDataset`; only what is iterated is transferred.

    The hashes under which the Hub stores the files are compared with the published ones before
    the first row; the bytes themselves only a pull compares. Small files that the Hub keeps in
    git, under no such hash, are pulled and compared whole.

    Args:
        place: repository and revision.
        split: train, validation, test, all, or official:<part>.

    Raises:
        TamperedError: a file is not the one that was published.
        DataError: no such split, a recipe, or not a dataset of this suite.
        HubError: the Hub cannot be reached.
    """
    from datasets import load_dataset

    place, metadata, sums = _opened(place)
    paths, filters = _chosen(metadata, split, str(place))
    in_git = _kept_in_git(place, data_files(metadata), sums)
    files = {path: f"hf://datasets/{place.repo}@{place.revision}/{path}" for path in paths}
    files |= _pulled(place, {path: sums[path] for path in paths if path in in_git})
    with hub_errors(place, "dataset"):
        return load_dataset(
            "parquet",
            data_files=list(files.values()),
            split="train",
            streaming=True,
            filters=filters,
        )


def _opened(place: HubPlace) -> tuple[HubPlace, TableMetadata, dict[str, str]]:
    """The commit of a place, what it holds, and its published hashes; no rows."""
    folder = snapshot(place, "dataset", (FILE_NAME, SUMS_NAME, RECIPE_NAME, CARD_NAME))
    place = HubPlace(place.repo, folder.name)
    form = form_in(folder, place)
    if form is Form.RECIPE:
        raise DataError(f"{place} holds a recipe and no rows, so there is nothing to stream")
    sums = published_sums(folder, form, place)
    check_sums(folder, {FILE_NAME: sums[FILE_NAME]}, str(place))
    return place, read_metadata(folder), sums


def _kept_in_git(place: HubPlace, paths: Collection[str], sums: Mapping[str, str]) -> set[str]:
    """Those of the files that the Hub knows by no sha256; that of all others is the published."""
    with hub_errors(place, "dataset"):
        stored = tree(client(), place, "dataset")
    in_git = set()
    for path in paths:
        if path not in stored:
            raise TamperedError(f"{place}: {path} is missing, which {SUMS_NAME} lists")
        large = stored[path].lfs
        if large is None:
            in_git.add(path)
        else:
            refuse_other(path, large.sha256, sums[path], str(place))
    return in_git


def _pulled(place: HubPlace, sums: Mapping[str, str]) -> dict[str, str]:
    """Files of a repository on this disk, compared with their hashes: path -> where it lies."""
    if not sums:
        return {}
    folder = snapshot(place, "dataset", tuple(sums))
    check_sums(folder, sums, str(place))
    return {path: str(folder / path) for path in sums}


def _chosen(metadata: TableMetadata, split: str, source: str) -> tuple[list[str], Any]:
    """Files to read, and the filter that is pushed down to them."""
    stored = [name for name in SPLITS if name in metadata.splits]
    part = split.removeprefix(OFFICIAL)
    if split in stored:
        return [f"{DATA_FOLDER}/{split}.parquet"], None
    if split == ALL:
        return [f"{DATA_FOLDER}/{name}.parquet" for name in stored], None
    if split.startswith(OFFICIAL) and part in metadata.official_splits:
        return [f"{DATA_FOLDER}/{name}.parquet" for name in stored], [
            ("official_split", "==", part)
        ]
    present = [*stored, *(f"{OFFICIAL}{name}" for name in metadata.official_splits), ALL]
    raise DataError(f"{source} has no split {split!r}; present are {', '.join(present)}")
