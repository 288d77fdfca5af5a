"""Licences: shown before anything is downloaded, and remembered once accepted."""

import json
from datetime import UTC, datetime
from pathlib import Path

from cerberus_bench.loaders.folders import cache_folder
from cerberus_bench.schema.dataset import DatasetSpec
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole

FILE_NAME = "licences.json"


class LicenceNotAcceptedError(DataError):
    """A download needs the consent of its user first."""


def terms(spec: DatasetSpec) -> str:
    """What a user accepts: licence, redistribution and what to cite, over several lines."""
    licence = f"{spec.licence.id}; {spec.licence.note}" if spec.licence.note else spec.licence.id
    lines = [
        spec.title,
        f"  from: {spec.home}",
        f"  licence: {licence}",
        f"  redistribution of the pixels: {spec.licence.redistribution}",
        *(f"  cite: {citation}" for citation in spec.citation),
    ]
    return "\n".join(lines)


def is_accepted(spec: DatasetSpec) -> bool:
    """Whether this dataset was accepted before under the licence that it has now.

    Raises:
        DataError: the file that remembers is damaged.
    """
    return spec.licence.id in _read().get(spec.name, {})


def accept(spec: DatasetSpec) -> None:
    """Remember that the licence of a dataset was accepted, in the cache folder."""
    accepted = _read()
    accepted.setdefault(spec.name, {})[spec.licence.id] = datetime.now(UTC).isoformat(
        "T", "seconds"
    )
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        draft.write_text(json.dumps(accepted, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def require(spec: DatasetSpec) -> None:
    """Refuse a dataset that was not accepted.

    Raises:
        LicenceNotAcceptedError: it was not; the message shows the terms.
    """
    if not is_accepted(spec):
        raise LicenceNotAcceptedError(
            f"nothing was downloaded: the licence of {spec.name} is not accepted yet.\n"
            f"{terms(spec)}\nIf you accept it, run this again with --accept-license; it is"
            " remembered."
        )


def _path() -> Path:
    return cache_folder() / FILE_NAME


def _read() -> dict[str, dict[str, str]]:
    """Dataset -> licence -> time at which it was accepted."""
    path = _path()
    if not path.is_file():
        return {}
    try:
        accepted = json.loads(path.read_bytes())
        return {str(name): dict(licences) for name, licences in accepted.items()}
    except (ValueError, TypeError, AttributeError):
        raise DataError(
            f"{path} does not list accepted licences; remove it and accept them again"
        ) from None
