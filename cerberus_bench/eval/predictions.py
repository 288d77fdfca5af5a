"""The predictions folder: label maps and tables from any framework, data only.

    manifest.json          which model, which data, which tasks and classes
    nuclei/<sample>.png    16-bit label map (32-bit .tif above 65,535 ids); gland/, lumen/ likewise
    objects.parquet        sample_id, task, id, class, score: one row an object
    boxes.parquet          sample_id, x0, y0, x1, y1, score: signet ring boxes, px
    tissue.parquet         sample_id, then one column of probability a class

A folder is written under a temporary name and renamed when it is complete.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.prediction import (
    PredictedInstances,
    Prediction,
    PredictionsManifest,
)
from cerberus_bench.schema.record import MAX_INSTANCES
from cerberus_bench.schema.tasks import INSTANCE_TASKS

OBJECT_COLUMNS = ("sample_id", "task", "id", "class", "score")
BOX_COLUMNS = ("sample_id", "x0", "y0", "x1", "y1", "score")


class PredictionsFolderWriter:
    """Write predictions one by one; leave the `with` block normally to keep them."""

    def __init__(self, out: Path, manifest: PredictionsManifest) -> None:
        if out.exists() and not (out / "manifest.json").exists():
            raise DataError(f"{out} exists and is no predictions folder. Name another folder.")
        self._out = out
        self._part = out.with_name(out.name + ".part")
        shutil.rmtree(self._part, ignore_errors=True)
        self._part.mkdir(parents=True)
        self._manifest = manifest
        self._spaces = {
            task: LabelSpace(task, tuple(names)) for task, names in manifest.label_spaces.items()
        }
        self._expected = set(manifest.samples)
        self._written: set[str] = set()
        self._objects: list[tuple[str, str, int, str, float]] = []
        self._boxes: list[tuple[Any, ...]] = []
        self._tissue: list[tuple[Any, ...]] = []

    def add(self, prediction: Prediction) -> None:
        """Write one prediction.

        Raises:
            DataError: the sample is not in the manifest, was written before, or lacks a task.
        """
        sample = prediction.sample_id
        if sample not in self._expected:
            raise DataError(f"{sample} is not a sample of {self._manifest.dataset}")
        if sample in self._written:
            raise DataError(f"{sample} was written before")
        for task, instances in prediction.instances.items():
            _write_labels(self._part / task, sample, instances.labels)
            self._add_objects(sample, task, instances)
        if prediction.boxes is not None:
            scores = prediction.box_scores
            scores = np.ones(len(prediction.boxes)) if scores is None else scores
            rows = zip(prediction.boxes.tolist(), scores.tolist(), strict=True)
            self._boxes += [(sample, *box, score) for box, score in rows]
        if prediction.tissue is not None:
            self._tissue.append((sample, *prediction.tissue.tolist()))
        self._written.add(sample)

    def _add_objects(self, sample: str, task: str, instances: PredictedInstances) -> None:
        names = ("", *self._spaces[task].classes)
        columns = (instances.ids, instances.classes, instances.scores)
        self._objects += [
            (sample, task, number, names[index], score)
            for number, index, score in zip(*(c.tolist() for c in columns), strict=True)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            shutil.rmtree(self._part, ignore_errors=True)
            return
        self.close()

    def close(self) -> None:
        """Write the tables and the manifest and put the folder in its place.

        Raises:
            DataError: a sample of the manifest has no prediction.
        """
        missing = [s for s in self._manifest.samples if s not in self._written]
        if missing:
            shutil.rmtree(self._part, ignore_errors=True)
            raise DataError(
                f"{self._out}: {len(missing)} of {len(self._expected)} samples have no prediction,"
                f" the first is {missing[0]}. Add one for each (an empty map where nothing is"
                " found)."
            )
        self._write_tables()
        text = self._manifest.model_dump_json(indent=1)
        (self._part / "manifest.json").write_text(text + "\n", encoding="utf-8")
        shutil.rmtree(self._out, ignore_errors=True)
        self._part.rename(self._out)

    def _write_tables(self) -> None:
        tissue = self._manifest.label_spaces.get("tissue", [])
        tables = {
            "objects": (OBJECT_COLUMNS, self._objects),
            "boxes": (BOX_COLUMNS, self._boxes),
            "tissue": (("sample_id", *tissue), self._tissue),
        }
        import pyarrow as pa
        import pyarrow.parquet as pq

        for name, (columns, rows) in tables.items():
            if rows:
                values = zip(*rows, strict=True)
                pq.write_table(
                    pa.table(dict(zip(columns, map(list, values), strict=True))),
                    self._part / f"{name}.parquet",
                )


class PredictionsFolder:
    """Read a predictions folder; every sample of the manifest must be there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = _read_manifest(path)
        self.label_spaces = {
            task: LabelSpace(task, tuple(names))
            for task, names in self.manifest.label_spaces.items()
        }
        self._objects = _by_sample(path / "objects.parquet", OBJECT_COLUMNS)
        self._boxes = _by_sample(path / "boxes.parquet", BOX_COLUMNS)
        classes = self.manifest.label_spaces.get("tissue", [])
        self._tissue = _by_sample(path / "tissue.parquet", ("sample_id", *classes))

    def __len__(self) -> int:
        return len(self.manifest.samples)

    def __iter__(self) -> Iterator[Prediction]:
        return (self.read(sample) for sample in self.manifest.samples)

    def read(self, sample: str) -> Prediction:
        """Read the prediction of one sample.

        Raises:
            DataError: a map is missing or unreadable, or the objects do not fit their map.
        """
        boxes = self._boxes.get(sample, [])
        predicts_boxes = "signet_ring" in self.label_spaces
        tissue = self._tissue.get(sample)
        instances = {}
        for task in INSTANCE_TASKS:
            if task in self.label_spaces and (found := self._instances(sample, task)) is not None:
                instances[task] = found
        return Prediction(
            sample_id=sample,
            instances=instances,
            boxes=np.array([b[:4] for b in boxes], np.float32).reshape(-1, 4)
            if predicts_boxes
            else None,
            box_scores=np.array([b[4] for b in boxes]) if predicts_boxes else None,
            tissue=np.array(tissue[0], float) if tissue else None,
        )

    def _instances(self, sample: str, task: str) -> PredictedInstances | None:
        labels = _read_labels(self.path / task, sample)
        if labels is None:
            return None
        index = {name: i for i, name in enumerate(("", *self.label_spaces[task].classes))}
        rows = [r[1:] for r in self._objects.get(sample, []) if r[0] == task]
        found = np.unique(labels)
        found = found[found > 0]
        if not rows:
            ones = np.ones(len(found))
            return PredictedInstances(
                labels, found.astype(np.int64), ones.astype(np.int64) * 0, ones
            )
        rows.sort()
        ids = np.array([r[0] for r in rows], np.int64)
        unknown = {r[1] for r in rows} - set(index)
        if unknown or not np.array_equal(ids, found):
            raise DataError(
                f"{self.path}/objects.parquet: the {task} rows of {sample} do not fit its label map"
                f" (unknown classes {sorted(unknown)}, {len(ids)} rows, {len(found)} ids)."
            )
        classes = np.array([index[r[1]] for r in rows], np.int64)
        return PredictedInstances(labels, ids, classes, np.array([r[2] for r in rows], float))


def _read_manifest(path: Path) -> PredictionsManifest:
    file = path / "manifest.json"
    if not file.is_file():
        raise DataError(
            f"{path} has no manifest.json: it is no predictions folder. Write one with"
            " cerberus_bench.PredictionWriter."
        )
    try:
        return PredictionsManifest.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: {str(error).splitlines()[0]}: {error}") from None


def _by_sample(path: Path, columns: Sequence[str]) -> Mapping[str, list[tuple[Any, ...]]]:
    """Rows of a table without their sample id, by sample id; empty where there is no table."""
    if not path.is_file():
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        values = [table[name].to_pylist() for name in columns]
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise DataError(f"{path}: not the table it should be: {error}") from None
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for row in zip(*values, strict=True):
        rows.setdefault(row[0], []).append(row[1:])
    return rows


def _write_labels(folder: Path, sample: str, labels: NDArray[np.int32]) -> None:
    from PIL import Image

    folder.mkdir(exist_ok=True)
    stem = folder / quote(sample, safe="")
    if labels.size and labels.max() > MAX_INSTANCES:
        import tifffile

        tifffile.imwrite(f"{stem}.tif", labels.astype(np.uint32), compression="zlib")
    else:
        Image.fromarray(labels.astype(np.uint16)).save(f"{stem}.png")


def _read_labels(folder: Path, sample: str) -> NDArray[np.int32] | None:
    """The label map of a sample; None where its task was not predicted for it."""
    from PIL import Image, UnidentifiedImageError

    stem = quote(sample, safe="")
    png, tif = folder / f"{stem}.png", folder / f"{stem}.tif"
    try:
        if tif.is_file():
            import tifffile

            return _as_labels(tifffile.imread(tif), tif)
        if png.is_file():
            with Image.open(png) as image:
                return _as_labels(np.asarray(image), png)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"{folder / stem}: unreadable label map: {error}") from None
    return None


def _as_labels(array: NDArray[Any], path: Path) -> NDArray[np.int32]:
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise DataError(
            f"{path}: a label map is a single-channel integer image, this one has shape"
            f" {array.shape} and dtype {array.dtype}. Save ids as 16-bit greyscale."
        )
    return array.astype(np.int32)
