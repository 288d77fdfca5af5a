"""SHA256SUMS of a published dataset: what `sha256sum --check` reads, and every pull compares."""

import re
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path

from cerberus_bench.schema.errors import DataError

FILE_NAME = "SHA256SUMS"
CARD_NAME = "README.md"
MAX_BYTES = 10_000_000
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_CARD_ROW = re.compile(r"\| (\S.*) \| `([0-9a-f]{64})` \|")


class TamperedError(DataError):
    """A file is not the one that was published."""


def format_sums(sums: Mapping[str, str]) -> str:
    """Path -> sha256 as lines, sorted by path."""
    return "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(sums.items()))


def format_card_rows(sums: Mapping[str, str]) -> str:
    """Path -> sha256 as rows of the table of a card, sorted by path."""
    return "".join(f"| {path} | `{sha256}` |\n" for path, sha256 in sorted(sums.items()))


def read_sums(folder: Path) -> dict[str, str]:
    """Path -> sha256 of a folder that was pulled.

    Raises:
        DataError: there is no such file, or it is not one.
    """
    path = folder / FILE_NAME
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise DataError(f"{folder} has no {FILE_NAME}, so it was not published by cerberus-bench")
    return parse_sums(path.read_text(encoding="utf-8", errors="replace"), str(path))


def parse_sums(text: str, source: str) -> dict[str, str]:
    """The lines of SHA256SUMS.

    Raises:
        DataError: a line is none; `source` names the file.
    """
    sums = {}
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if not found:
            raise DataError(f"{source}: {line[:80]!r} is no line of sha256 and path")
        sums[found[2]] = found[1]
    return sums


def check_card(folder: Path, sums: Mapping[str, str], source: str) -> None:
    """Compare the hashes that the card of a folder shows to readers with the published ones.

    A folder without a card, or a card without hashes, contradicts nothing.

    Args:
        folder: that may hold README.md.
        sums: path -> sha256 of SHA256SUMS.
        source: where the folder is from, for messages.

    Raises:
        TamperedError: the card shows another hash of a file that SHA256SUMS lists.
        DataError: the card is too large to be one.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        return
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{source}: {CARD_NAME} is larger than {MAX_BYTES} bytes; it is no card")
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        row = _CARD_ROW.fullmatch(line)
        if row and sums.get(row[1], row[2]) != row[2]:
            raise TamperedError(
                f"{source}: {CARD_NAME} says that {row[1]} has sha256 {row[2]}, {FILE_NAME} says"
                f" {sums[row[1]]}. One of them was changed; take a revision in which they agree."
            )


def check_sums(folder: Path, sums: Mapping[str, str], source: str) -> None:
    """Compare the files of a folder with the hashes they were published with.

    Raises:
        TamperedError: a file is missing or has another hash; `source` names where it is from.
    """
    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            raise TamperedError(f"{source}: {name} is missing, which {FILE_NAME} lists")
        with path.open("rb") as stream:
            refuse_other(name, file_digest(stream, "sha256").hexdigest(), expected, source)


def refuse_other(name: str, found: str, expected: str, source: str) -> None:
    """Refuse a file of another hash.

    Raises:
        TamperedError: the hashes differ.
    """
    if found != expected:
        raise TamperedError(
            f"{source}: {name} has sha256 {found}, published was {expected}. It was changed or"
            " damaged; do not use it. Take a revision of before the change."
        )
