"""A harmonised folder as a release: its rows, or where the licence forbids that, its recipe."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from cerberus_bench.hub.checksums import CARD_NAME, format_sums
from cerberus_bench.hub.checksums import FILE_NAME as SUMS_NAME
from cerberus_bench.hub.dataset_cards import PICTURE_NAME, pixel_card, recipe_card
from cerberus_bench.hub.publish import LocalFile, Release, Target
from cerberus_bench.hub.recipe import (
    RECIPE_NAME,
    RECORDS_NAME,
    RecipeRecord,
    recipe_of,
    recipe_record,
)
from cerberus_bench.loaders.harmonise import HARMONISER_VERSION
from cerberus_bench.loaders.metadata import (
    FILE_NAME,
    TableMetadata,
    fingerprint_of,
    read_metadata,
)
from cerberus_bench.loaders.table import ALL, open_table
from cerberus_bench.loaders.writer import DATA_FOLDER, split_path
from cerberus_bench.schema.dataset import DatasetSpec, Redistribution
from cerberus_bench.schema.errors import DataError

Progress = Callable[[int, int, str], None]


class Form(StrEnum):
    """What is published of a dataset."""

    PIXELS = "pixels"
    RECIPE = "recipe"


class LicenceError(DataError):
    """The licence forbids what was asked for."""


def form_of(spec: DatasetSpec, wanted: Form | None = None) -> Form:
    """What may be published of a dataset; pixels where the licence allows, unless told otherwise.

    Raises:
        LicenceError: pixels are wanted that may not be passed on.
    """
    may_share = spec.licence.redistribution is not Redistribution.NO
    if wanted is Form.PIXELS and not may_share:
        note = f" ({spec.licence.note})" if spec.licence.note else ""
        raise LicenceError(
            f"the pixels of {spec.name} cannot be published: {spec.licence.id}{note} does not let"
            " them be passed on, and a gate changes nothing about that. Its recipe can: leave out"
            " --pixels."
        )
    return wanted or (Form.PIXELS if may_share else Form.RECIPE)


def checked_records(
    folder: Path, spec: DatasetSpec, progress: Progress | None = None
) -> list[RecipeRecord]:
    """Decode every record of a folder and check that it is what the folder says.

    Raises:
        DataError: the folder is of another dataset or version than the spec, was changed, or a
            record is damaged.
    """
    metadata = read_metadata(folder)
    _check_is_current(folder, metadata, spec)
    table = open_table(folder, split=ALL)
    records = []
    for done, record in enumerate(table, 1):
        if (record.dataset, record.licence) != (spec.name, spec.licence.id):
            raise DataError(
                f"{folder}: {record.sample_id} is of {record.dataset} under {record.licence}, not"
                f" of {spec.name} under {spec.licence.id}. Harmonise the source again."
            )
        records.append(recipe_record(record, table.label_spaces))
        if progress:
            progress(done, len(table), f"check {spec.name}")
    hashes = {record.sample_id: record.content_sha256 for record in records}
    if fingerprint_of(hashes) != metadata.fingerprint:
        raise DataError(
            f"{folder}: the arrays of its records are not those of {FILE_NAME}: a file was changed"
            " after it was written. Harmonise the source again."
        )
    return records


def _check_is_current(folder: Path, metadata: TableMetadata, spec: DatasetSpec) -> None:
    here = (metadata.version, metadata.harmoniser_version)
    now = (spec.version, HARMONISER_VERSION)
    if metadata.name != spec.name or here != now:
        raise DataError(
            f"{folder} holds {metadata.name} {'/'.join(here)}, this is {spec.name}"
            f" {'/'.join(now)}. Harmonise the source again."
        )


def pixel_release(
    folder: Path,
    spec: DatasetSpec,
    target: Target,
    picture: bytes,
) -> Release:
    """The rows of a folder, their card with a picture (JPEG), and their hashes.

    Raises:
        LicenceError: the licence does not let pixels be passed on.
    """
    form_of(spec, Form.PIXELS)
    metadata = read_metadata(folder)
    files = {
        f"{DATA_FOLDER}/{s}.parquet": LocalFile(split_path(folder, s)) for s in metadata.splits
    }
    files[FILE_NAME] = LocalFile(folder / FILE_NAME)
    sums = {path: file.sha256 for path, file in files.items()}
    card = pixel_card(spec, folder, metadata, target, sums)
    return Release(
        target=target,
        kind="dataset",
        files=files
        | {
            SUMS_NAME: LocalFile(format_sums(sums).encode()),
            CARD_NAME: LocalFile(card.encode()),
            PICTURE_NAME: LocalFile(picture),
        },
        message=f"{spec.name} {spec.version}",
        owned=(f"{DATA_FOLDER}/",),
        foreign=(RECIPE_NAME,),
        loose=(CARD_NAME, PICTURE_NAME),
    )


def recipe_release(
    folder: Path,
    spec: DatasetSpec,
    target: Target,
    records: list[RecipeRecord],
) -> Release:
    """Ids, splits, class map and hashes of a folder; no pixel and no annotation."""
    metadata = read_metadata(folder)
    recipe = recipe_of(spec, metadata).model_dump_json(indent=1) + "\n"
    lines = "".join(record.model_dump_json() + "\n" for record in records)
    files = {
        RECIPE_NAME: LocalFile(recipe.encode()),
        RECORDS_NAME: LocalFile(lines.encode()),
    }
    sums = {path: file.sha256 for path, file in files.items()}
    card = recipe_card(spec, metadata, target, sums)
    return Release(
        target=target,
        kind="dataset",
        files=files
        | {
            SUMS_NAME: LocalFile(format_sums(sums).encode()),
            CARD_NAME: LocalFile(card.encode()),
        },
        message=f"recipe of {spec.name} {spec.version}",
        foreign=(FILE_NAME,),
        loose=(CARD_NAME,),
    )
