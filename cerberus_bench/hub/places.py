"""Where something is on the Hub: a repository, and a revision of it."""

import re
from dataclasses import dataclass
from pathlib import Path

from cerberus_bench.schema.errors import DataError

PREFIX = "hf:"
"""`hf:ORG/NAME` is always the Hub, whatever lies on this disk."""

DATA_REPO, DATA_REVISION = "data_repo", "data_revision"
"""Provenance of a result on a dataset that was taken from the Hub."""

_NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}[\w-])?"
_PLACE = re.compile(rf"({_NAME}/{_NAME})(?:@([\w./-]{{1,200}}))?")
_CACHED = re.compile(r"(?:dataset|model)s--(.+?)--(.+)")


@dataclass(frozen=True, slots=True)
class HubPlace:
    """A repository at a revision."""

    repo: str
    """ORG/NAME."""
    revision: str | None = None
    """Branch, tag or commit; None = the head of main."""

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" if self.revision else self.repo


def looks_like_place(text: str) -> bool:
    """Whether `text` reads as `[hf:]ORG/NAME[@revision]` and is nothing on this disk.

    `data/lizard` is meant as a folder where `data` is one, whether or not it holds `lizard`.
    """
    if text.startswith(PREFIX):
        return True
    is_local = Path(text).exists() or Path(text).parent.is_dir()
    return not is_local and _PLACE.fullmatch(text) is not None


def parse_place(text: str) -> HubPlace:
    """`[hf:]ORG/NAME[@revision]` as a place.

    Raises:
        DataError: it does not read so.
    """
    found = _PLACE.fullmatch(text.removeprefix(PREFIX))
    if not found:
        raise DataError(f"{text!r} is no place on the Hub; write hf:ORG/NAME or hf:ORG/NAME@TAG")
    return HubPlace(found[1], found[2])


def place_of(folder: Path) -> HubPlace | None:
    """Repository and commit of a folder that was pulled; None for any other folder."""
    snapshots = folder.absolute().parent
    found = _CACHED.fullmatch(snapshots.parent.name)
    if not found or snapshots.name != "snapshots":
        return None
    return HubPlace(f"{found[1]}/{found[2]}", folder.name)
