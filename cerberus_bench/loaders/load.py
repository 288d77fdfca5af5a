"""Records by name or folder: what the workflows ask for."""

from pathlib import Path
from tempfile import TemporaryDirectory

from cerberus_bench.loaders.build import Progress, harmonise_source
from cerberus_bench.loaders.folders import HOME_VARIABLE, cache_folder
from cerberus_bench.loaders.harmonise import HARMONISER_VERSION
from cerberus_bench.loaders.metadata import FILE_NAME
from cerberus_bench.loaders.reader import Reader
from cerberus_bench.loaders.registry import PHANTOM, get
from cerberus_bench.loaders.splits import SPLITS, STORED_FOLD
from cerberus_bench.loaders.table import Table, open_table
from cerberus_bench.schema.errors import DataError


def load_records(
    data: str | Path,
    *,
    split: str = "test",
    fold: int = STORED_FOLD,
    progress: Progress | None = None,
) -> Table:
    """The chosen records of a dataset.

    Args:
        data: `phantom` (also `phantom@blur` and other variants), which is made at first use and
            cached, or a harmonised folder.
        split: train, validation, test, or `official:<part>`; `all` for folders.
        fold: the fold that is held out as test, 1 to 3.
        progress: told while the phantom is made.

    Raises:
        DataError: there is no such dataset or folder, or the split is empty.
    """
    folder = data_folder(data, split=split, fold=fold, progress=progress)
    return open_table(folder, split=split, fold=fold)


def data_folder(
    data: str | Path,
    *,
    split: str = "test",
    fold: int = STORED_FOLD,
    progress: Progress | None = None,
) -> Path:
    """The harmonised folder that holds a split; the phantom has one folder a split.

    Raises:
        DataError: there is no such dataset or folder, or the phantom has no such split.
    """
    path = Path(data)
    if (path / FILE_NAME).is_file():
        return path
    name = str(data)
    if name.partition("@")[0] == PHANTOM:
        return _phantom_folder(get(name), split, fold, progress)
    if path.exists() or len(path.parts) > 1:
        raise DataError(
            f"{path} is not a harmonised dataset. Make one with `cerberus-bench harmonize NAME"
            f" --source PATH --out {path}`."
        )
    spec = get(name).spec  # raises where the name is unknown
    raise DataError(
        f"{name} is not embedded, so it has to be harmonised first. {spec.how_to_get} Then run"
        f" `cerberus-bench harmonize {name} --source PATH --out data/{name}` and use data/{name}."
    )


def _phantom_folder(reader: Reader, split: str, fold: int, progress: Progress | None) -> Path:
    spec = reader.spec
    if split not in SPLITS or fold != STORED_FOLD:
        raise DataError(
            f"{spec.name} has the splits {', '.join(SPLITS)} with fold {STORED_FOLD} as test, and"
            f" no {split!r} with fold {fold}"
        )
    version = f"{spec.name}-{spec.version}-{HARMONISER_VERSION}"
    folder = cache_folder() / "datasets" / version / split
    if not (folder / FILE_NAME).is_file():
        _make(reader, split, folder, progress)
    return folder


def _make(reader: Reader, split: str, folder: Path, progress: Progress | None) -> None:
    """Make a split aside, then move it to its place, unless another process was faster."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = TemporaryDirectory(prefix=f".{split}.", dir=folder.parent)
    except OSError as error:
        raise DataError(
            f"{folder.parent} cannot be written ({error.strerror}). Set {HOME_VARIABLE} to a"
            " folder that can."
        ) from None
    with place:
        made = Path(place.name, split)
        harmonise_source(reader, None, made, roles=(split,), progress=progress)
        try:
            made.rename(folder)
        except OSError:
            if not (folder / FILE_NAME).is_file():
                raise
