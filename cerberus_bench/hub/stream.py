"""Rows of a published dataset over the network, a row group at a time."""

from typing import Any

from cerberus_bench.hub.checksums import FILE_NAME as SUMS_NAME
from cerberus_bench.hub.checksums import check_sums, refuse_other
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
    the first row; the bytes themselves only a pull compares.

    Args:
        place: repository and revision.
        split: train, validation, test, all, or official:<part>.

    Raises:
        TamperedError: a file is not the one that was published.
        DataError: no such split, a recipe, or not a dataset of this suite.
        HubError: the Hub cannot be reached.
    """
    from datasets import load_dataset

    place, metadata = _checked(place)
    paths, filters = _chosen(metadata, split, str(place))
    files = [f"hf://datasets/{place.repo}@{place.revision}/{path}" for path in paths]
    with hub_errors(place, "dataset"):
        return load_dataset(
            "parquet", data_files=files, split="train", streaming=True, filters=filters
        )


def _checked(place: HubPlace) -> tuple[HubPlace, TableMetadata]:
    """The commit of a place and what it holds, its hashes compared without its rows."""
    folder = snapshot(place, "dataset", (FILE_NAME, SUMS_NAME, RECIPE_NAME))
    place = HubPlace(place.repo, folder.name)
    form = form_in(folder, place)
    if form is Form.RECIPE:
        raise DataError(f"{place} holds a recipe and no rows, so there is nothing to stream")
    sums = published_sums(folder, form, place)
    check_sums(folder, {FILE_NAME: sums[FILE_NAME]}, str(place))
    metadata = read_metadata(folder)
    with hub_errors(place, "dataset"):
        files = tree(client(), place, "dataset")
    for path in data_files(metadata):
        stored = files[path].lfs if path in files else None
        refuse_other(path, stored.sha256 if stored else "unknown", sums[path], str(place))
    return place, metadata


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
