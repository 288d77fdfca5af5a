"""Datasets by name or folder: as records for the workflows, as `datasets.Dataset` for users."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerberus_bench.workflows.progress import Progress

if TYPE_CHECKING:
    from cerberus_bench.loaders.table import Table


def open_data(
    name: str, *, split: str = "test", fold: int = 3, progress: Progress | None = None
) -> "Table":
    """The records of one split of a dataset.

    Args:
        name: `phantom`, or a harmonised folder. A bare name also finds `data/<name>`.
        split: train, validation, test, or official:<part>.
        fold: which fold is the test fold, 1 to 3.
        progress: told while the phantom is made on first use.

    Raises:
        DataError: there is no such dataset, or the split is empty.
    """
    from cerberus_bench.loaders.load import load_records

    return load_records(find_data(name), split=split, fold=fold, progress=progress)


def load(name: str, *, split: str = "test", fold: int = 3) -> Any:
    """A split of a harmonised dataset as `datasets.Dataset`.

    Args:
        name: `phantom`, or a harmonised folder. A bare name also finds `data/<name>`.
        split: train, validation, test, or official:<part>.
        fold: which fold is the test fold, 1 to 3.

    Returns:
        `datasets.Dataset` with the columns `image` (PIL, RGB), `nuclei`, `gland`, `lumen` (PIL,
        16-bit label maps or None), their ids and classes, `tissue`, `signet_ring` and the facts of
        each record.

    Raises:
        DataError: there is no such dataset, or the split is empty.
    """
    return open_data(name, split=split, fold=fold).as_dataset()


def find_data(name: str) -> str:
    """`data/<name>` where that is a harmonised folder and `name` is a bare name, else `name`."""
    local = Path("data") / name
    bare = len(Path(name).parts) == 1 and not Path(name).exists()
    return str(local) if bare and (local / "dataset.json").is_file() else name
