"""`dataset.json`: what a harmonised folder says of itself."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace

FILE_NAME = "dataset.json"
MAX_BYTES = 10_000_000


class TableMetadata(BaseModel):
    """Facts about a harmonised folder that its rows do not repeat."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: Literal[1] = 1
    name: str
    version: str
    title: str
    harmoniser_version: str
    mpp: FiniteFloat | None = Field(default=None, gt=0)
    """Target of all records; None = each record at its source's own resolution."""
    synthetic: bool
    licence: str
    redistribution: str
    group_level: str
    label_spaces: dict[str, list[str]]
    fixed_roles: bool
    """Whether the source fixes train, validation and test, so that folds cannot be rotated."""
    fingerprint: str
    """Of all records; see `fingerprint_of`."""
    splits: dict[str, int]
    """Split as stored (fold 3 is test) -> records; empty splits are not listed."""
    official_splits: dict[str, int]
    objects: dict[str, dict[str, int]]
    """Task -> official part (`all` where the source has none) -> objects in the source."""
    missing: dict[str, int]
    """Official part -> images of the complete source that were not there."""
    notes: dict[str, int]
    """What was done to annotations -> how often."""
    n_lost: int
    """Instances that vanished in resampling."""
    official_overlap: dict[str, list[str]]
    """Official part -> groups that it shares with the official train part."""

    @property
    def spaces(self) -> dict[str, LabelSpace]:
        """Task -> label space."""
        return {t: LabelSpace(t, tuple(classes)) for t, classes in self.label_spaces.items()}


def fingerprint_of(hashes: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """Hash over sample ids with the hashes of their decoded arrays, whatever their order."""
    lines = sorted(f"{sample} {content}\n" for sample, content in dict(hashes).items())
    return sha256("".join(lines).encode()).hexdigest()


def write_metadata(metadata: TableMetadata, folder: Path) -> None:
    """Write `dataset.json` into a folder."""
    text = metadata.model_dump_json(indent=1) + "\n"
    (folder / FILE_NAME).write_text(text, encoding="utf-8")


def read_metadata(folder: Path) -> TableMetadata:
    """Read `dataset.json` of a harmonised folder strictly.

    Raises:
        DataError: there is no such folder or file, or the file is not one of this version.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        what = "is not a harmonised dataset" if folder.is_dir() else "does not exist"
        raise DataError(
            f"{folder} {what} (no {FILE_NAME}). Make one with `cerberus-bench harmonize NAME"
            f" --source PATH --out {folder}`."
        )
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES} bytes; harmonise the source again")
    try:
        metadata = TableMetadata.model_validate_json(path.read_bytes())
        _ = metadata.spaces
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise DataError(
            f"{path}: {place}: {first['msg']}. It was written by another version, or changed:"
            " harmonise the source again."
        ) from None
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: label_spaces: {error}. Harmonise the source again.") from None
    return metadata
