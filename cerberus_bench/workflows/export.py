"""`export`: a harmonised dataset for other frameworks, as PNG files or COCO json."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Record, RecordSource
from cerberus_bench.workflows.progress import Progress, tracked

Format = Literal["png", "coco"]


def export(
    source: RecordSource, out: Path, form: Format, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Write every record of a source below `out`; the folder appears when it is complete.

    png: `images/`, one folder of 16-bit label maps a task, and `records.json` with the classes.
    coco: `images/` and `annotations.json` (run-length masks; ids from 1; one category a class).

    Raises:
        DataError: `out` exists.
    """
    if out.exists():
        raise DataError(f"{out} exists. Name a folder that does not.")
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "images").mkdir(parents=True)
    write = _write_png if form == "png" else _write_coco
    n_objects = write(source, part, progress)
    part.rename(out)
    return {"out": str(out), "format": form, "records": len(source), "objects": n_objects}


def _write_png(source: RecordSource, out: Path, progress: Progress | None) -> int:
    records = []
    n_objects = 0
    for record in tracked(source, "export", progress):
        name = _save_image(record, out)
        for task, instances in record.instances.items():
            (out / task).mkdir(exist_ok=True)
            _save(instances.labels.astype(np.uint16), out / task / name)
            n_objects += len(instances.ids)
        records.append(_describe(record, source, name))
    _write_json(out / "records.json", records)
    return n_objects


def _describe(record: Record, source: RecordSource, name: str) -> dict[str, Any]:
    objects = {}
    for task, instances in record.instances.items():
        names = (None, *source.label_spaces[task].classes)
        objects[task] = {
            str(i): names[c] for i, c in zip(instances.ids.tolist(), instances.classes, strict=True)
        }
    return {
        "sample_id": record.sample_id,
        "file": name,
        "mpp": record.mpp,
        "group": record.group,
        "split": record.split,
        "coverage": {task: str(value) for task, value in record.coverage.items()},
        "classes": objects,
        "signet_ring": None if record.signet_ring is None else record.signet_ring.tolist(),
        "tissue": _tissue_name(record, source),
    }


def _tissue_name(record: Record, source: RecordSource) -> str | None:
    if record.tissue is None:
        return None
    return source.label_spaces["tissue"].classes[record.tissue]


def _write_coco(source: RecordSource, out: Path, progress: Progress | None) -> int:
    categories = _categories(source)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for record in tracked(source, "export", progress):
        height, width = record.image.shape[:2]
        image_id = len(images) + 1
        images.append(
            {
                "id": image_id,
                "file_name": _save_image(record, out),
                "height": height,
                "width": width,
                "sample_id": record.sample_id,
                "mpp": record.mpp,
            }
        )
        for annotation in _annotations(record, source, categories):
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **annotation})
    listed = [{"id": i, "name": n, "supercategory": t} for (t, n), i in categories.items()]
    _write_json(
        out / "annotations.json",
        {"images": images, "annotations": annotations, "categories": listed},
    )
    return len(annotations)


def _categories(source: RecordSource) -> dict[tuple[str, str], int]:
    """(task, class) -> category id from 1; objects without a class are `(task, task)`."""
    keys = []
    for task, space in source.label_spaces.items():
        if task != "tissue":
            keys += [(task, task), *((task, name) for name in space.classes if name != task)]
    return {key: i for i, key in enumerate(keys, 1)}


def _annotations(
    record: Record, source: RecordSource, categories: dict[tuple[str, str], int]
) -> Iterator[dict[str, Any]]:
    shape = record.image.shape[:2]
    for task, instances in record.instances.items():
        names = (task, *source.label_spaces[task].classes)
        for pixels, index in zip(
            _column_major_pixels(instances.labels, instances.ids), instances.classes, strict=True
        ):
            y, x = pixels % shape[0], pixels // shape[0]
            yield {
                "category_id": categories[task, names[index]],
                "iscrowd": 0,
                "area": len(pixels),
                "bbox": _box(x.min(), y.min(), x.max() + 1, y.max() + 1),
                "segmentation": {"size": list(shape), "counts": _run_lengths(pixels, shape)},
            }
    if record.signet_ring is not None:
        category = categories["signet_ring", source.label_spaces["signet_ring"].classes[0]]
        for x0, y0, x1, y1 in record.signet_ring.tolist():
            box = _box(x0, y0, x1, y1)
            yield {
                "category_id": category,
                "iscrowd": 0,
                "area": box[2] * box[3],
                "bbox": box,
                "segmentation": [],
            }


def _box(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]


def _column_major_pixels(
    labels: NDArray[np.int32], ids: NDArray[np.int64]
) -> list[NDArray[np.intp]]:
    """For each id its pixels as ascending indices x * H + y, in one sort of the map."""
    flat = labels.T.ravel()
    order = np.argsort(flat, kind="stable")
    begin = np.searchsorted(flat, ids, "left", sorter=order)
    end = np.searchsorted(flat, ids, "right", sorter=order)
    return [order[b:e] for b, e in zip(begin, end, strict=True)]


def _run_lengths(pixels: NDArray[np.intp], shape: tuple[int, ...]) -> list[int]:
    """COCO's uncompressed run lengths: background, object, background ... in column order."""
    breaks = np.flatnonzero(np.diff(pixels) > 1)
    begin = np.concatenate([pixels[:1], pixels[breaks + 1]])
    end = np.concatenate([pixels[breaks], pixels[-1:]]) + 1
    edges = np.concatenate([[0], np.stack([begin, end], axis=1).ravel(), [shape[0] * shape[1]]])
    runs: list[int] = np.diff(edges).tolist()
    return runs if runs[-1] else runs[:-1]


def _save_image(record: Record, out: Path) -> str:
    name = quote(record.sample_id, safe="") + ".png"
    _save(record.image, out / "images" / name)
    return name


def _save(array: NDArray[Any], path: Path) -> None:
    from PIL import Image

    Image.fromarray(array).save(path)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, allow_nan=False) + "\n", encoding="utf-8")
