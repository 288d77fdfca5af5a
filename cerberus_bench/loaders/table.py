"""A harmonised folder, opened: a `RecordSource` that decodes records one at a time."""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

from cerberus_bench.loaders.columns import KEY_COLUMNS, from_row
from cerberus_bench.loaders.metadata import TableMetadata, fingerprint_of, read_metadata
from cerberus_bench.loaders.splits import (
    FOLDS,
    SPLITS,
    STORED_FOLD,
    RecordKey,
    check_contamination,
    components_of,
    splits_of,
)
from cerberus_bench.loaders.writer import split_path
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.record import Record
from cerberus_bench.schema.result import Contamination, TrainedOn

ALL = "all"
OFFICIAL = "official:"
CACHE_BYTES = 256 << 20
"""Row groups kept in memory by an open table, as stored (compressed images)."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a record lies."""

    path: Path
    group: int
    """Row group."""
    row: int
    """Row within the group."""
    number: int
    """Row within the file."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row of the light index."""

    key: RecordKey
    content_sha256: str
    place: _Place


class Table:
    """The chosen records of a harmonised folder. Safe to pickle, and to use in worker processes."""

    def __init__(
        self,
        folder: Path,
        metadata: TableMetadata,
        entries: Sequence[_Entry],
        split: str,
        fold: int,
    ) -> None:
        """Use `open_table`."""
        self.folder = folder
        self.metadata = metadata
        self.split = split
        """train, validation, test, all or official:<part>."""
        self.fold = fold
        """The fold that is the test fold."""
        self._entries = tuple(entries)
        self._spaces = metadata.spaces
        self._groups = _RowGroups()

    @property
    def name(self) -> str:
        """Dataset name."""
        return self.metadata.name

    @property
    def version(self) -> str:
        """Dataset version."""
        return self.metadata.version

    @property
    def fingerprint(self) -> str:
        """Hash of the chosen records' ids and decoded arrays."""
        return fingerprint_of((e.key.sample_id, e.content_sha256) for e in self._entries)

    @property
    def label_spaces(self) -> Mapping[str, LabelSpace]:
        """Task -> what the dataset's class indices mean."""
        return self._spaces

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Ids of the chosen records, in order."""
        return tuple(entry.key.sample_id for entry in self._entries)

    @property
    def keys(self) -> tuple[RecordKey, ...]:
        """Groups, origins, fold and official split of the chosen records, in order."""
        return tuple(entry.key for entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Record:
        """Decode one record; `split` is the one under the fold that was asked for.

        Raises:
            IndexError: there is no such record.
            DataError: the row is damaged.
        """
        entry = self._entries[index]
        row = self._groups.row(entry.place)
        row["split"] = entry.key.split
        return from_row(row, self._spaces)

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"Table({str(self.folder)!r}, split={self.split!r}, fold={self.fold}, n={len(self)})"

    def as_trained_on(self) -> TrainedOn:
        """What a model card says of having been trained on these records."""
        return TrainedOn(
            dataset=self.name,
            version=self.version,
            fingerprint=self.fingerprint,
            split=self.split,
            fold=self.fold,
            groups=sorted({key.group for key in self.keys}),
            origins=sorted({origin for key in self.keys for origin in key.origins}),
        )

    def contamination(self, trained_on: Sequence[TrainedOn] | None) -> Contamination:
        """Whether these records meet what a model was trained on (None = not known)."""
        part = self.split.removeprefix(OFFICIAL) if self.split.startswith(OFFICIAL) else None
        overlap = self.metadata.official_overlap.get(part or "", [])
        present = {key.group for key in self.keys}
        return check_contamination(
            trained_on,
            self.keys,
            official_part=part,
            official_shared=[group for group in overlap if group in present],
        )

    def as_dataset(self) -> Any:
        """The chosen records, in order, as a memory-mapped `datasets.Dataset`.

        Its columns are those of `columns.features`: images decode to PIL, label maps to 16 bit.
        """
        paths = list(dict.fromkeys(entry.place.path for entry in self._entries))
        rows = _load_rows(paths)
        starts = dict.fromkeys(paths, 0)
        for before, path in pairwise(paths):
            starts[path] = starts[before] + self.metadata.splits[before.stem]
        chosen = [starts[entry.place.path] + entry.place.number for entry in self._entries]
        if chosen != list(range(len(rows))):
            rows = rows.select(chosen)
        if self.fold == STORED_FOLD:
            return rows
        splits = [entry.key.split for entry in self._entries]
        others = rows.remove_columns("split").add_column("split", splits)
        return others.select_columns(rows.column_names)


def open_table(folder: str | Path, *, split: str = "test", fold: int = STORED_FOLD) -> Table:
    """Open the chosen records of a harmonised folder.

    Args:
        folder: as written by `harmonise_source`.
        split: train, validation, test, all, or `official:<part>` for a part of the source's own.
        fold: 1 to 3, the fold that is held out as test; 3 as stored.

    Raises:
        DataError: the folder is not a harmonised dataset or is damaged, the split is empty (the
            message lists those present), or folds cannot be rotated here.
    """
    folder = Path(folder)
    metadata = read_metadata(folder)
    entries = _read_index(folder, metadata)
    if fold != STORED_FOLD:
        entries = _rotate(entries, fold, metadata, folder)
    chosen = [entry for entry in entries if _is_chosen(entry.key, split)]
    if not chosen:
        raise DataError(_nothing_chosen(folder, split, fold, entries))
    return Table(folder, metadata, chosen, split, fold)


def _is_chosen(key: RecordKey, split: str) -> bool:
    if split.startswith(OFFICIAL):
        return key.official_split == split.removeprefix(OFFICIAL)
    return split in (ALL, key.split)


def _nothing_chosen(folder: Path, split: str, fold: int, entries: Sequence[_Entry]) -> str:
    splits = Counter(entry.key.split for entry in entries)
    official = Counter(entry.key.official_split for entry in entries if entry.key.official_split)
    present = [f"{name} ({splits[name]})" for name in SPLITS if splits[name]]
    present += [f"{OFFICIAL}{name} ({n})" for name, n in sorted(official.items())]
    return (
        f"{folder} has no records in split {split!r} with fold {fold} as test. Present are"
        f" {', '.join(present)} and {ALL}."
    )


def _rotate(
    entries: Sequence[_Entry], fold: int, metadata: TableMetadata, folder: Path
) -> list[_Entry]:
    if fold not in FOLDS:
        raise DataError(f"there is no fold {fold}; choose 1, 2 or 3")
    if metadata.fixed_roles:
        raise DataError(
            f"{metadata.name} fixes which records are train, validation and test ({folder}), so"
            f" fold {fold} cannot be the test fold. Use fold {STORED_FOLD}."
        )
    keys = [entry.key for entry in entries]
    splits = splits_of([key.fold or 0 for key in keys], components_of(keys), fold)
    return [
        _Entry(_with_split(entry.key, split), entry.content_sha256, entry.place)
        for entry, split in zip(entries, splits, strict=True)
    ]


def _with_split(key: RecordKey, split: str) -> RecordKey:
    return RecordKey(
        sample_id=key.sample_id,
        group=key.group,
        origins=key.origins,
        official_split=key.official_split,
        fold=key.fold,
        split=split,
    )


def _read_index(folder: Path, metadata: TableMetadata) -> list[_Entry]:
    entries: list[_Entry] = []
    for split in SPLITS:
        if split in metadata.splits:
            found = _read_split_index(split_path(folder, split))
            if len(found) != metadata.splits[split]:
                raise DataError(
                    f"{split_path(folder, split)} holds {len(found)} records, not the"
                    f" {metadata.splits[split]} of dataset.json: harmonise the source again"
                )
            entries += found
    return entries


def _read_split_index(path: Path) -> list[_Entry]:
    entries: list[_Entry] = []
    file = _parquet(path)
    for group in range(file.num_row_groups):
        rows = _read(path, file, group, list(KEY_COLUMNS)).to_pylist()
        for row, facts in enumerate(rows):
            content = facts.pop("content_sha256")
            key = RecordKey(**{**facts, "origins": tuple(facts["origins"])})
            entries.append(_Entry(key, content, _Place(path, group, row, len(entries))))
    return entries


def _parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} is missing or damaged ({error}). Harmonise the source again."
        ) from None


def _read(path: Path, file: Any, group: int, columns: list[str] | None) -> Any:
    import pyarrow as pa

    lacking = sorted(set(columns or ()) - set(file.schema_arrow.names))
    if lacking:
        raise DataError(f"{path} has no columns {lacking}. Harmonise the source again.")
    try:
        return file.read_row_group(group, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is damaged ({error}). Harmonise the source again.") from None


def _load_rows(paths: Sequence[Path]) -> Any:
    """All rows of parquet files as one `datasets.Dataset`, without a bar for each file."""
    import datasets

    was_quiet = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        files = [str(path) for path in paths]
        return datasets.load_dataset("parquet", data_files=files, split="train")
    finally:
        if not was_quiet:
            datasets.enable_progress_bars()


class _RowGroups:
    """Row groups as read, the latest used kept up to `CACHE_BYTES`.

    No file stays open, so the object survives fork and pickle; a copy starts with nothing kept.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int], Any] = OrderedDict()
        self._lock = Lock()

    def row(self, place: _Place) -> dict[str, Any]:
        with self._lock:
            table = self._group(place.path, place.group)
        (row,) = table.slice(place.row, 1).to_pylist()
        return dict(row)

    def _group(self, path: Path, group: int) -> Any:
        key = (path, group)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        file = _parquet(path)
        columns = [name for name in file.schema_arrow.names if name != "preview"]
        self._kept[key] = _read(path, file, group, columns)
        while len(self._kept) > 1 and sum(t.nbytes for t in self._kept.values()) > CACHE_BYTES:
            self._kept.popitem(last=False)
        return self._kept[key]

    def __reduce__(self) -> tuple[type["_RowGroups"], tuple[()]]:
        return _RowGroups, ()
