"""The only door to downloads: files over HTTP(S), resumed where they broke off, and verified.

A file arrives as `<name>.part` and takes its name when it is complete and its hash is right. What
was received stays after an interruption, and the same command goes on from there.
"""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cerberus_bench.loaders.folders import cache_folder
from cerberus_bench.loaders.licences import require
from cerberus_bench.loaders.transfer import Draft, MirrorError, Progress, download, host_of
from cerberus_bench.schema.dataset import DatasetSpec, SourceFile
from cerberus_bench.schema.errors import CerberusBenchError, DataError

SUMS_NAME = "SHA256SUMS"
"""Hashes of the fetched files as `sha256sum --check` reads them."""


class DownloadError(CerberusBenchError):
    """No mirror gave the file."""


class GatedError(DataError):
    """The file has no public address: its user has to obtain it."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A source file on disk."""

    path: Path
    n_bytes: int
    sha256: str
    is_verified: bool
    """Whether the spec knows the hash, so that these are the bytes that it was written for."""
    is_new: bool
    """Whether it was downloaded now, not found in place."""


def sources_folder(name: str, to: Path | None = None) -> Path:
    """Where the files of a dataset are put: `to`/<name>, by default below the cache folder."""
    return (to or cache_folder() / "sources") / name


def fetch(spec: DatasetSpec, to: Path, progress: Progress | None = None) -> tuple[FetchedFile, ...]:
    """Download the files of a dataset that have a public address, unless they are there already.

    Args:
        spec: of a dataset whose licence was accepted, where it has public files.
        to: folder for the files.
        progress: told bytes done, bytes in all (0 = unknown) and the file.

    Raises:
        LicenceNotAcceptedError: the licence was not accepted.
        DataError: a file in `to` is not the one of the spec, or does not fit on the disk.
        DownloadError: no mirror gave a file.
    """
    public = [file for file in spec.files if file.urls]
    if public:
        require(spec)
    return tuple(fetch_file(file, to, progress) for file in public)


def fetch_file(file: SourceFile, to: Path, progress: Progress | None = None) -> FetchedFile:
    """Download one file from the first mirror that gives it.

    Raises:
        GatedError: the file has no public address.
        DataError: a file of that name is in `to` and is another one, or the disk is full.
        DownloadError: no mirror gave it; says what each one answered.
    """
    path = to / _plain(file.name)
    if path.exists():
        return _present(file, path, to)
    if not file.urls:
        raise GatedError(f"{file.name} has no public address; obtain it and put it into {to}")
    _make_folder(path.parent)
    draft = Draft(path.with_name(f"{path.name}.part"))
    sha256 = _from_any_mirror(file, draft, progress)
    draft.path.replace(path)
    draft.forget()
    _note_sum(to, file.name, sha256)
    return FetchedFile(path, path.stat().st_size, sha256, file.sha256 is not None, is_new=True)


def _from_any_mirror(file: SourceFile, draft: Draft, progress: Progress | None) -> str:
    answers = []
    for url in file.urls:
        try:
            return _from_mirror(file, url, draft, progress)
        except MirrorError as error:
            answers.append(f"{host_of(url)}: {error}")
    kept = f" {draft.size} bytes are kept in {draft.path}." if draft.size else ""
    raise DownloadError(
        f"{file.name} could not be downloaded. {'; '.join(answers)}.{kept} Check the network, then"
        " run the same command again; it goes on from where it stopped."
    )


def _from_mirror(file: SourceFile, url: str, draft: Draft, progress: Progress | None) -> str:
    """Fill the draft from one mirror; returns its hash. Wrong bytes are thrown away.

    A draft that was begun earlier may be of an older edition of the file: where the hash of such a
    one is wrong, the mirror gets a second chance with an empty draft.
    """
    is_resumed = draft.size > 0
    download(
        url,
        draft,
        _report(file, progress),
        n_bytes=file.n_bytes,
        is_hash_known=file.sha256 is not None,
    )
    try:
        return _verified(file, draft.path)
    except MirrorError:
        draft.discard()
        if not is_resumed:
            raise
    return _from_mirror(file, url, draft, progress)


def _verified(file: SourceFile, path: Path) -> str:
    size = path.stat().st_size
    if file.n_bytes is not None and size != file.n_bytes:
        raise MirrorError(f"gave {size} bytes instead of {file.n_bytes}")
    sha256 = hash_of(path)
    if file.sha256 is not None and sha256 != file.sha256:
        raise MirrorError(f"gave a file of sha256 {sha256} instead of {file.sha256}")
    if path.name.removesuffix(".part").lower().endswith(".zip") and not zipfile.is_zipfile(path):
        raise MirrorError("gave something that is no zip")
    return sha256


def _present(file: SourceFile, path: Path, to: Path) -> FetchedFile:
    """A file that is in place already, if it is the right one."""
    size, sha256 = path.stat().st_size, hash_of(path)
    expected = file.sha256 or _noted_sums(to).get(file.name)
    if expected not in (None, sha256) or file.n_bytes not in (None, size):
        raise DataError(
            f"{path} is not the file that was expected: {size} bytes with sha256 {sha256} instead"
            f" of {file.n_bytes or 'unknown'} bytes with {expected or 'unknown'}. Move it away and"
            " run this again."
        )
    return FetchedFile(path, size, sha256, file.sha256 is not None, is_new=False)


def hash_of(path: Path) -> str:
    """Lowercase hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plain(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise DataError(f"{name!r} points outside the folder for downloads")
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be made ({error.strerror}). Choose another --to."
        ) from None


def _report(file: SourceFile, progress: Progress | None) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if progress:
            progress(done, total, file.name)

    return report


def _noted_sums(folder: Path) -> dict[str, str]:
    """File -> hash when it was fetched: the only witness where a spec knows none."""
    path = folder / SUMS_NAME
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pairs = (line.split("  ", 1) for line in lines if "  " in line)
    return {name: sha256 for sha256, name in pairs}


def _note_sum(folder: Path, name: str, sha256: str) -> None:
    sums = _noted_sums(folder) | {name: sha256}
    draft = folder / f".{SUMS_NAME}.part"
    draft.write_text("".join(f"{s}  {n}\n" for n, s in sorted(sums.items())), encoding="utf-8")
    draft.replace(folder / SUMS_NAME)
