"""A recipe: what may be published of a dataset whose pixels may not.

`recipe.json` holds the class map and the splits, `records.jsonl` one line a record with hashes of
its harmonised arrays. Whoever has the source rebuilds the dataset and proves that it is the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, FiniteFloat, ValidationError

from cerberus_bench.loaders.columns import NO_CLASS, content_sha256
from cerberus_bench.loaders.metadata import TableMetadata
from cerberus_bench.loaders.table import Table
from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.record import Record
from cerberus_bench.schema.report import STRICT

RECIPE_NAME = "recipe.json"
RECORDS_NAME = "records.jsonl"
MAX_RECIPE_BYTES = 10_000_000
MAX_RECORDS_BYTES = 1_000_000_000
SHOWN = 5
"""How many records an error names."""


class Recipe(BaseModel):
    """What a recipe says of the dataset as a whole."""

    model_config = STRICT

    format: Literal[1] = 1
    name: str
    version: str
    title: str
    licence: str
    how_to_get: str
    harmoniser_version: str
    mpp: FiniteFloat | None
    class_map: dict[str, dict[str, str]]
    """Task -> class in the source -> class here."""
    label_spaces: dict[str, list[str]]
    splits: dict[str, int]
    fingerprint: str
    missing: dict[str, int]
    """Official part -> images of the complete source that were not there."""


class RecipeRecord(BaseModel):
    """One record: where it belongs, and what it must be."""

    model_config = STRICT

    sample_id: str
    group: str
    group_level: str
    origins: list[str]
    fold: int | None
    split: str | None
    official_split: str | None
    origin_xy: list[int]
    source_sha256: str
    content_sha256: str
    parts: dict[str, str]
    """image, nuclei, gland ... -> hash of its array, with the classes of its objects."""


@dataclass(frozen=True, slots=True)
class PulledRecipe:
    """A recipe as read."""

    recipe: Recipe
    records: tuple[RecipeRecord, ...]
    source: str
    """Where it is from, for messages."""


def recipe_of(spec: DatasetSpec, metadata: TableMetadata) -> Recipe:
    """The recipe of a harmonised folder."""
    return Recipe(
        name=spec.name,
        version=spec.version,
        title=spec.title,
        licence=spec.licence.id,
        how_to_get=spec.how_to_get,
        harmoniser_version=metadata.harmoniser_version,
        mpp=metadata.mpp,
        class_map={
            task: {str(code): node for code, node in label_map.nodes.items()}
            for task, label_map in spec.label_maps.items()
        },
        label_spaces=metadata.label_spaces,
        splits=metadata.splits,
        fingerprint=metadata.fingerprint,
        missing=metadata.missing,
    )


def recipe_record(record: Record, spaces: Mapping[str, LabelSpace]) -> RecipeRecord:
    """What a recipe says of one record."""
    return RecipeRecord(
        sample_id=record.sample_id,
        group=record.group,
        group_level=record.group_level,
        origins=list(record.origins),
        fold=record.fold,
        split=record.split,
        official_split=record.official_split,
        origin_xy=list(record.origin_xy),
        source_sha256=record.source_sha256,
        content_sha256=content_sha256(record, spaces),
        parts=part_hashes(record, spaces),
    )


def part_hashes(record: Record, spaces: Mapping[str, LabelSpace]) -> dict[str, str]:
    """Image and tasks of a record -> hash of dtype, shape, bytes and class names."""

    def names(task: str, classes: Iterable[int]) -> str:
        known = (NO_CLASS, *spaces[task].classes)
        return ",".join(known[index] for index in classes)

    parts: dict[str, list[Any]] = {"image": [record.image]}
    for task, found in record.instances.items():
        parts[task] = [found.labels, found.ids, names(task, found.classes.tolist())]
    if record.signet_ring is not None:
        parts["signet_ring"] = [record.signet_ring]
    if record.points is not None:
        classes = [] if record.point_classes is None else record.point_classes.tolist()
        parts["points"] = [record.points, names("nuclei", classes)]
    if record.tissue is not None:
        parts["tissue"] = [spaces["tissue"].classes[record.tissue]]
    if record.valid is not None:
        parts["valid"] = [record.valid]
    return {part: _hash(values) for part, values in parts.items()}


def _hash(values: Iterable[Any]) -> str:
    digest = sha256()
    for value in values:
        if isinstance(value, str):
            digest.update(f"|{value}|".encode())
        else:
            digest.update(f"|{value.dtype.str}|{value.shape}|".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def read_recipe(folder: Path, source: str) -> PulledRecipe:
    """Read a recipe strictly.

    Args:
        folder: that holds `recipe.json` and `records.jsonl`.
        source: where it is from, for messages.

    Raises:
        DataError: a file is missing, too large, or not of this version.
    """
    try:
        recipe = Recipe.model_validate_json(_bytes(folder / RECIPE_NAME, MAX_RECIPE_BYTES))
        lines = _bytes(folder / RECORDS_NAME, MAX_RECORDS_BYTES).splitlines()
        records = tuple(RecipeRecord.model_validate_json(line) for line in lines if line)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise DataError(
            f"{source}: {place}: {first['msg']}. The recipe was changed or is of another version"
            " of cerberus-bench."
        ) from None
    return PulledRecipe(recipe, records, source)


def _bytes(path: Path, limit: int) -> bytes:
    if not path.is_file():
        raise DataError(f"{path.parent} holds no recipe: {path.name} is missing")
    if path.stat().st_size > limit:
        raise DataError(f"{path} is larger than {limit} bytes; it is no recipe")
    return path.read_bytes()


def prove_rebuild(table: Table, pulled: PulledRecipe, *, allow_partial: bool = False) -> int:
    """Compare every record of a rebuilt dataset with its recipe.

    Args:
        table: all records of the rebuilt folder.
        pulled: what they must be.
        allow_partial: accept that records of the recipe are missing.

    Returns:
        The number of records that were proved equal.

    Raises:
        DataError: the recipe is of another dataset, version or resolution, or records differ, are
            missing or are not in it; the message names them and says what differs.
    """
    _check_head(table.metadata, pulled)
    expected = {record.sample_id: record for record in pulled.records}
    found = set(table.sample_ids)
    faults = list(_differences(table, expected))
    if not allow_partial:
        faults += [f"{name} is missing" for name in expected if name not in found]
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise DataError(
            f"{len(faults)} of {len(expected)} records are not those of {pulled.source}:"
            f" {'; '.join(faults[:SHOWN])}{more}. Nothing was written."
        )
    return len(found)


def _check_head(metadata: TableMetadata, pulled: PulledRecipe) -> None:
    for what in ("name", "version", "harmoniser_version", "mpp", "label_spaces"):
        here, there = getattr(metadata, what), getattr(pulled.recipe, what)
        if here != there:
            raise DataError(
                f"{pulled.source} was made with {what} {there!r}, the rebuilt dataset has"
                f" {here!r}. Take the recipe of this version, or the version of the recipe."
            )


def _differences(table: Table, expected: Mapping[str, RecipeRecord]) -> Iterator[str]:
    for record in table:
        here = recipe_record(record, table.label_spaces)
        there = expected.get(here.sample_id)
        if there is None:
            yield f"{here.sample_id} is not in the recipe"
        elif here != there:
            yield f"{here.sample_id} {_what_differs(here, there)}"


def _what_differs(here: RecipeRecord, there: RecipeRecord) -> str:
    parts = {*here.parts, *there.parts}
    other = sorted(part for part in parts if here.parts.get(part) != there.parts.get(part))
    facts = [
        name
        for name in RecipeRecord.model_fields
        if name not in ("parts", "content_sha256", "source_sha256")
        and getattr(here, name) != getattr(there, name)
    ]
    if not (other or facts):
        return "has equal arrays, but its source file is another"
    if here.source_sha256 != there.source_sha256:
        cause = "its source file is not the one that the recipe was made from"
    else:
        cause = "its source file is the same, so a library differs"
    return f"differs in {', '.join(other + facts)}; {cause}"
