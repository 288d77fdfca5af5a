"""`download`: the source files of datasets, or how to obtain them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cerberus_bench.loaders.fetch import FetchedFile
    from cerberus_bench.schema.dataset import DatasetSpec

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all (0 = unknown), and the file."""


class State(StrEnum):
    """What `download` could do for a dataset."""

    FETCHED = "fetched"
    """All files are there."""
    GATED = "gated"
    """Some or all files have to be obtained by the user."""
    EMBEDDED = "embedded"
    """There is nothing to download: it is generated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What came of one dataset."""

    name: str
    state: State
    licence: str
    folder: Path
    """Where the files are, or where to put them."""
    files: tuple["FetchedFile", ...]
    lacking: tuple[str, ...]
    """Files without a public address that are not in `folder`."""
    how_to_get: str
    """How to obtain what is lacking."""

    @property
    def next_command(self) -> str:
        """What to run next."""
        if self.state is State.EMBEDDED:
            return f"cerberus-bench eval MODEL --data {self.name}"
        return f"cerberus-bench harmonize {self.name} --source {quote(str(self.folder))}"


def download(
    names: Sequence[str],
    to: Path | None = None,
    *,
    accept_licence: bool = False,
    agree: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
) -> list[Download]:
    """Fetch the source files of datasets whose licence is accepted; resumes what broke off.

    Args:
        names: datasets of the registry.
        to: the files of a dataset go to `to`/<name>; None = below the cache folder.
        accept_licence: accept the licences of all datasets named, and remember it.
        agree: asked with the terms of a licence that is not accepted yet; None = nobody to ask.
        progress: how far it is.

    Returns:
        One entry a dataset, in order. A dataset that gives no files to the public is listed with
        what its user has to do.

    Raises:
        LicenceNotAcceptedError: a licence is not accepted; nothing is downloaded then.
        DataError: a name is unknown, or a file in place is another one.
        DownloadError: no mirror gave a file.
    """
    from cerberus_bench.loaders.registry import get

    specs = [get(name).spec for name in names]
    for spec in specs:
        if any(file.urls for file in spec.files):
            _settle_licence(spec, accept_licence, agree)
    return [_download(spec, to, progress) for spec in specs]


def _settle_licence(
    spec: "DatasetSpec", accept_licence: bool, agree: Callable[[str], bool] | None
) -> None:
    from cerberus_bench.loaders import licences

    if licences.is_accepted(spec):
        return
    if accept_licence or (agree and agree(licences.terms(spec))):
        licences.accept(spec)
    licences.require(spec)


def _download(spec: "DatasetSpec", to: Path | None, progress: Progress | None) -> Download:
    from cerberus_bench.loaders.fetch import fetch, sources_folder

    folder = sources_folder(spec.name, to)
    files = () if spec.synthetic else fetch(spec, folder, progress)
    gated = [] if spec.synthetic else [file.name for file in spec.files if not file.urls]
    lacking = tuple(name for name in gated if not (folder / name).exists())
    is_complete = bool(spec.files) and not lacking
    return Download(
        name=spec.name,
        state=State.EMBEDDED if spec.synthetic else State.FETCHED if is_complete else State.GATED,
        licence=spec.licence.id,
        folder=folder,
        files=files,
        lacking=lacking,
        how_to_get=spec.how_to_get,
    )
