"""`download`: datasets from the Hub, else their source files, or how to obtain them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from cerberus_bench.schema.errors import DataError

if TYPE_CHECKING:
    from cerberus_bench.hub import HubPlace
    from cerberus_bench.hub.pull import PulledDataset
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
    PULLED = "pulled"
    """Its harmonised rows came from the Hub."""
    RECIPE = "recipe"
    """Its recipe came from the Hub; the source has to be obtained by the user."""


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
    place: str | None = None
    """ORG/NAME@commit of the rows or the recipe; None for a dataset that is not on the Hub."""

    @property
    def next_command(self) -> str:
        """What to run next."""
        if self.state is State.EMBEDDED:
            return f"cerberus-bench eval MODEL --data {self.name}"
        if self.state is State.PULLED:
            return f"cerberus-bench eval MODEL --data {quote(str(self.folder))}"
        source = "PATH" if self.state is State.RECIPE else quote(str(self.folder))
        proof = f" --recipe {self.place}" if self.place else ""
        return f"cerberus-bench harmonize {self.name} --source {source}{proof}"


def download(
    names: Sequence[str],
    to: Path | None = None,
    *,
    accept_licence: bool = False,
    agree: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
) -> list[Download]:
    """Pull datasets from the Hub; fetch the source files of those that are not published there.

    What was broken off is resumed.

    Args:
        names: datasets of the registry, `NAME[@revision]`, or places on the Hub,
            `[hf:]ORG/NAME[@revision]`.
        to: the files of a dataset go to `to`/<name>; None = a cache folder.
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
        HubError: the Hub cannot be reached.
    """
    from cerberus_bench.loaders.registry import get
    from cerberus_bench.workflows.pull import hub_place, named_spec

    wanted = [(hub_place(name), named_spec(name)) for name in names]
    for name, (place, spec) in zip(names, wanted, strict=True):
        spec = spec or (None if place else get(name).spec)  # raises where the name is unknown
        if spec and (place or any(file.urls for file in spec.files)):
            _settle_licence(spec, accept_licence, agree)
    return [
        _pull(place, spec, to, progress) if place else _download(get(name).spec, to, progress)
        for name, (place, spec) in zip(names, wanted, strict=True)
    ]


def _settle_licence(
    spec: "DatasetSpec", accept_licence: bool, agree: Callable[[str], bool] | None
) -> None:
    from cerberus_bench.loaders import licences

    if licences.is_accepted(spec):
        return
    if accept_licence or (agree and agree(licences.terms(spec))):
        licences.accept(spec)
    licences.require(spec)


def _pull(
    place: "HubPlace", spec: "DatasetSpec | None", to: Path | None, progress: Progress | None
) -> Download:
    """Rows, or a recipe and with it the source files of a dataset that was asked for by name."""
    from cerberus_bench.hub.dataset_release import Form
    from cerberus_bench.hub.recipe import read_recipe
    from cerberus_bench.workflows.pull import pull

    pulled = pull(place)
    if pulled.form is Form.PIXELS:
        return _rows(pulled, to)
    recipe = read_recipe(pulled.folder, str(pulled.place)).recipe
    if spec and spec.files:
        done = _download(spec, to, progress)
        state = State.RECIPE if done.state is State.GATED else done.state
        return replace(done, state=state, place=str(pulled.place))
    return Download(
        name=recipe.name,
        state=State.RECIPE,
        licence=recipe.licence,
        folder=pulled.folder,
        files=(),
        lacking=(),
        how_to_get=recipe.how_to_get,
        place=str(pulled.place),
    )


def _rows(pulled: "PulledDataset", to: Path | None) -> Download:
    """Rows on this disk: in the cache, or copied to a folder of their own.

    Raises:
        DataError: the dataset has a name that points elsewhere, or something else is there.
    """
    from cerberus_bench.loaders.metadata import read_metadata
    from cerberus_bench.workflows.pull import copy_rows

    metadata = read_metadata(pulled.folder)
    if Path(metadata.name).name != metadata.name:
        raise DataError(f"{pulled.place} calls itself {metadata.name!r}, which is no name")
    folder = to / metadata.name if to else pulled.folder
    if to:
        copy_rows(pulled.folder, folder)
    return Download(
        name=metadata.name,
        state=State.PULLED,
        licence=metadata.licence,
        folder=folder,
        files=(),
        lacking=(),
        how_to_get="",
        place=str(pulled.place),
    )


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
