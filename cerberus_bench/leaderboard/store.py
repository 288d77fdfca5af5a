"""Results folders, read strictly: one bad file is an error that names it."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cerberus_bench.eval.invariants import check_report
from cerberus_bench.eval.protocol import PROTOCOL_VERSION
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import ResultRecord, read_result

TOLERANCE = 1e-9
"""How far two files of the same evaluation may differ in a number, relative."""


class DataKey(NamedTuple):
    """What two results must share to be compared at all."""

    name: str
    version: str
    fingerprint: str
    split: str
    fold: int
    protocol_version: int


class Identity(NamedTuple):
    """What makes a result the only one of its kind in a folder."""

    model: str
    file_sha256: str | None
    variant: str
    """How the model was run: see `Inference.variant`."""
    data: DataKey


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result and where it lies."""

    path: Path
    record: ResultRecord

    @property
    def data(self) -> DataKey:
        """What the model was scored on, and by which protocol."""
        data = self.record.data
        return DataKey(
            data.name,
            data.version,
            data.fingerprint,
            data.split,
            data.fold,
            self.record.report.protocol_version,
        )

    @property
    def identity(self) -> Identity:
        """Which evaluation this is."""
        model = self.record.model
        return Identity(model.name, model.file_sha256, model.variant, self.data)


def read_results(folder: Path) -> list[StoredResult]:
    """Every result below a folder, sorted by path; an evaluation stored twice is listed once.

    Raises:
        DataError: there is no folder or no result in it; a file is no valid result, is of a
            protocol that this version does not know, or breaks an invariant of its scores; two
            files of the same evaluation disagree; or two results on the same data saw other
            numbers of images.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give the folder that holds the results")
    stored = [read_result_file(path) for path in sorted(folder.rglob("*.json"))]
    if not stored:
        raise DataError(f"{folder} holds no result (*.json); run `cerberus-bench eval` first")
    unique = list(_without_copies(stored))
    _check_same_data(unique)
    return unique


def read_result_file(path: Path) -> StoredResult:
    """One result, checked.

    Raises:
        DataError: the file is no valid result, of an unknown protocol, or contradicts itself.
    """
    record = read_result(path)
    version = record.report.protocol_version
    if not 1 <= version <= PROTOCOL_VERSION:
        raise DataError(
            f"{path}: protocol {version}; this version of cerberus-bench checks 1 to"
            f" {PROTOCOL_VERSION}. Evaluate again, or install the version that wrote it."
        )
    check_report(record.report, str(path))
    return StoredResult(path, record)


def _without_copies(stored: Iterable[StoredResult]) -> Iterator[StoredResult]:
    seen: dict[Identity, StoredResult] = {}
    for result in stored:
        first = seen.setdefault(result.identity, result)
        if first is result:
            yield result
            continue
        place = _difference(first.record.model_dump(), result.record.model_dump())
        if place:
            raise DataError(
                f"{first.path} and {result.path} are both the result of"
                f" {result.record.model.name!r} on {result.record.data.name}"
                f" {result.record.data.split}, but differ in {place}. Remove the wrong one."
            )


def _difference(first: object, second: object, place: str = "") -> str:
    """Name of the first field in which two dumps differ, empty where they agree."""
    # Older results do not state the budget, nor how a model was run, of which what matters is in
    # the identity.
    if place in ("provenance", "created_utc", "model.budget", "model.inference"):
        return ""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        pairs = [(key, first[key], second[key]) for key in first]
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = [(i, one, two) for i, (one, two) in enumerate(zip(first, second, strict=True))]
    elif isinstance(first, float) and isinstance(second, float):
        close = math.isclose(first, second, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return "" if close else place
    else:
        return "" if first == second else place
    inner = (_difference(a, b, f"{place}.{key}" if place else str(key)) for key, a, b in pairs)
    return next((found for found in inner if found), "")


def _check_same_data(stored: Iterable[StoredResult]) -> None:
    firsts: dict[DataKey, StoredResult] = {}
    for result in stored:
        first = firsts.setdefault(result.data, result)
        mine, other = result.record, first.record
        for what, here, there in (
            ("images", mine.report.n_images, other.report.n_images),
            ("groups", mine.report.n_groups, other.report.n_groups),
            ("synthetic", mine.data.synthetic, other.data.synthetic),
            ("microns per pixel", mine.data.mpp, other.data.mpp),
        ):
            if here != there:
                raise DataError(
                    f"{first.path} and {result.path} name the same data, but say of it {what}:"
                    f" {there} and {here}. One of them is wrong; evaluate again."
                )
