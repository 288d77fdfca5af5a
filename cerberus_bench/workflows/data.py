"""Datasets by name or folder: as records for the workflows, as `datasets.Dataset` for users."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.progress import Progress

if TYPE_CHECKING:
    from cerberus_bench.hub import HubPlace
    from cerberus_bench.loaders.table import Table

STORED_FOLD = 3
"""The fold that is test in the splits as stored."""


def open_data(
    name: str,
    *,
    split: str = "test",
    fold: int = 3,
    revision: str | None = None,
    progress: Progress | None = None,
) -> "Table":
    """The records of one split of a dataset.

    Args:
        name: `phantom`, a harmonised folder, or a dataset on the Hub; see `find_data`.
        split: train, validation, test, or official:<part>.
        fold: which fold is the test fold, 1 to 3.
        revision: of a dataset on the Hub.
        progress: told while the phantom is made on first use.

    Raises:
        DataError: there is no such dataset, or the split is empty.
        HubError: the Hub cannot be reached, and the dataset was not pulled before.
    """
    from cerberus_bench.loaders.load import load_records

    return load_records(find_data(name, revision), split=split, fold=fold, progress=progress)


def load(
    name: str,
    *,
    split: str = "test",
    fold: int = 3,
    revision: str | None = None,
    streaming: bool = False,
) -> Any:
    """A split of a harmonised dataset as `datasets.Dataset`.

    Args:
        name: `phantom`, a harmonised folder (a bare name also finds `data/<name>`), or
            `ORG/NAME[@revision]` on the Hub, which is pulled once and opened without a network
            afterwards.
        split: train, validation, test, or official:<part>.
        fold: which fold is the test fold, 1 to 3.
        revision: tag, branch or commit of a dataset on the Hub.
        streaming: give a `datasets.IterableDataset`; rows on the Hub are then transferred as they
            are iterated, in the stored splits only.

    Returns:
        `datasets.Dataset` with the columns `image` (PIL, RGB), `nuclei`, `gland`, `lumen` (PIL,
        16-bit label maps or None), their ids and classes, `tissue`, `signet_ring` and the facts of
        each record.

    Raises:
        DataError: there is no such dataset, the split is empty, or a file on the Hub is not the
            one that was published.
        HubError: the Hub cannot be reached, and the dataset was not pulled before.
    """
    if streaming:
        return _stream(name, split, fold, revision)
    return open_data(name, split=split, fold=fold, revision=revision).as_dataset()


def _stream(name: str, split: str, fold: int, revision: str | None) -> Any:
    place = _place(name, revision)
    if place is None:
        return open_data(name, split=split, fold=fold).as_dataset().to_iterable_dataset()
    if fold != STORED_FOLD:
        raise DataError(
            f"{place} is streamed in its stored splits, with fold {STORED_FOLD} as test. For fold"
            f" {fold} leave out streaming=True."
        )
    from cerberus_bench.hub.stream import stream_dataset

    return stream_dataset(place, split)


def find_data(name: str, revision: str | None = None) -> str:
    """Where a dataset is on this disk: built here, else pulled from the Hub.

    Args:
        name: a harmonised folder; a name for which `data/<name>` is one; `[hf:]ORG/NAME[@rev]` on
            the Hub; or a name that is published there.
        revision: tag, branch or commit; a dataset that was built here has none.

    Returns:
        The folder, or `name` itself where it is neither: the phantom, or what is not there.

    Raises:
        DataError: it is not on the Hub, gated, only a recipe, or was tampered with.
        HubError: the Hub cannot be reached, and the dataset was not pulled before.
    """
    place = _place(name, revision)
    if place is None:
        return local_data(name)
    from cerberus_bench.hub.client import NotOnHubError
    from cerberus_bench.workflows.pull import pull_rows

    try:
        return str(pull_rows(place))
    except NotOnHubError as error:
        raise NotOnHubError(f"{name} is no folder here, and {error}") from None


def local_data(name: str) -> str:
    """`data/<name>` where that is a harmonised folder and `name` is a bare name, else `name`."""
    local = Path("data") / name
    bare = len(Path(name).parts) == 1 and not Path(name).exists()
    return str(local) if bare and (local / "dataset.json").is_file() else name


def _place(name: str, revision: str | None) -> "HubPlace | None":
    """Where to take a dataset from on the Hub; None where it is taken from this disk."""
    is_local = (Path(local_data(name)) / "dataset.json").is_file()
    if is_local and revision is None:
        return None
    from cerberus_bench.workflows.pull import hub_place, require_licence

    place = hub_place(name, revision)
    if place:
        require_licence(name)
    elif revision is not None:
        raise DataError(f"{name} is no dataset on the Hub, so it has no revision {revision!r}")
    return place
