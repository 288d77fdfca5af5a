"""Records to rows of the harmonised table and back. `COLUMNS` lists what a row holds.

Label maps are 16-bit PNG, images lossless WebP, both as `{"bytes": ..., "path": ...}`, which
`datasets` decodes and the Hub shows. A null label map means that its task is not annotated here.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.harmonise import HARMONISER_VERSION
from cerberus_bench.loaders.images import (
    decode_labels,
    decode_mask,
    decode_rgb,
    encode_jpeg,
    encode_labels,
    encode_mask,
    encode_rgb,
)
from cerberus_bench.loaders.instances import present_ids
from cerberus_bench.pictures.overlay import overlay
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.record import Coverage, Instances, Record
from cerberus_bench.schema.resample import resize_image
from cerberus_bench.schema.tasks import INSTANCE_TASKS, TASKS

NO_CLASS = "none"
"""Name of class index 0 of an instance."""
UNLABELLED = "unlabelled"
"""Name of the last tissue class index: the patch has no label."""
CLASSED_TASKS = ("nuclei", "gland")
"""Tasks whose instances have an id and a class column; a lumen is a lumen."""
PREVIEW_SIDE = 256
KEY_COLUMNS = ("sample_id", "group", "origins", "official_split", "fold", "split", "content_sha256")
"""The light columns that say which record is where, without its pixels."""

Row = dict[str, Any]


def features(label_spaces: Mapping[str, LabelSpace]) -> Any:
    """The `datasets.Features` of a table.

    Args:
        label_spaces: task -> classes of the dataset; the published network's where it has none.
    """
    from datasets import ClassLabel, Features, Image, List, Value

    def classes(task: str) -> tuple[str, ...]:
        return label_spaces.get(task, TASKS[task].labels).classes

    def class_list(task: str) -> Any:
        return List(ClassLabel(names=[NO_CLASS, *classes(task)]))

    text, number = Value("string"), Value("float32")
    columns: dict[str, Any] = {
        "sample_id": text,
        "image": Image(mode="RGB"),
        **{task: Image(mode="I;16") for task in INSTANCE_TASKS},
    }
    for task in CLASSED_TASKS:
        columns |= {f"{task}_ids": List(Value("uint16")), f"{task}_classes": class_list(task)}
    columns |= {
        "signet_ring": List(List(number)),
        "points": List(List(number)),
        "point_classes": class_list("nuclei"),
        "tissue": ClassLabel(names=[*classes("tissue"), UNLABELLED]),
        "valid": Image(mode="L"),
        "coverage": dict.fromkeys(TASKS, text),
        **dict.fromkeys(("dataset", "record", "organ", "attributes", "group", "group_level"), text),
        "origins": List(text),
        "fold": Value("int8"),
        "split": text,
        "official_split": text,
        **dict.fromkeys(("mpp", "native_mpp", "objective"), number),
        "origin_xy": List(Value("int32")),
        "n_lost": Value("int32"),
        **dict.fromkeys(("licence", "source_sha256", "harmoniser_version"), text),
        "content_sha256": text,
        "preview": Image(mode="RGB"),
    }
    return Features(columns)


def to_row(record: Record, label_spaces: Mapping[str, LabelSpace]) -> Row:
    """A harmonised record as a row of `features(label_spaces)`.

    Raises:
        DataError: an id does not fit 16 bits.
    """
    name = record.sample_id
    row: Row = {
        "sample_id": name,
        "image": _file(encode_rgb(record.image), f"{name}.webp"),
        "signet_ring": _listed(record.signet_ring),
        "points": _listed(record.points),
        "point_classes": _listed(record.point_classes),
        "tissue": _tissue_to_index(record.tissue, label_spaces),
        "valid": None if record.valid is None else _file(encode_mask(record.valid), "valid.png"),
        "coverage": {task: str(record.coverage.get(task, Coverage.NONE)) for task in TASKS},
        "attributes": json.dumps(dict(record.attributes), sort_keys=True, ensure_ascii=False),
        "origins": list(record.origins),
        "origin_xy": list(record.origin_xy),
        "harmoniser_version": HARMONISER_VERSION,
        "content_sha256": content_sha256(record, label_spaces),
        "preview": _file(encode_jpeg(preview(record, label_spaces)), "preview.jpg"),
    }
    for task in INSTANCE_TASKS:
        row |= _instances_to_row(task, record.instances.get(task), name)
    return row | {key: getattr(record, key) for key in _PLAIN}


def from_row(row: Row, label_spaces: Mapping[str, LabelSpace]) -> Record:
    """A row back to its record.

    Raises:
        DataError: an image is damaged or of the wrong kind, or does not fit its label maps.
    """
    name = row["sample_id"]
    coverage = {t: Coverage(c) for t, c in row["coverage"].items() if c != Coverage.NONE}
    instances = {task: _instances_from_row(task, row) for task in INSTANCE_TASKS if row[task]}
    valid = row["valid"]
    return Record(
        image=decode_rgb(row["image"]["bytes"], f"{name}: image"),
        mpp=_shortest(row["mpp"]),
        native_mpp=_shortest(row["native_mpp"]),
        coverage=coverage,
        instances=instances,
        signet_ring=_array(row["signet_ring"], np.float32, 4),
        points=_array(row["points"], np.float32, 2),
        point_classes=_array(row["point_classes"], np.int64),
        tissue=_tissue_from_index(row["tissue"], label_spaces),
        valid=None if valid is None else decode_mask(valid["bytes"], f"{name}: valid"),
        attributes=json.loads(row["attributes"]),
        origins=tuple(row["origins"]),
        origin_xy=(row["origin_xy"][0], row["origin_xy"][1]),
        **{key: row[key] for key in _PLAIN if key not in {"mpp", "native_mpp"}},
    )


_PLAIN = (
    "sample_id",
    "dataset",
    "record",
    "organ",
    "group",
    "group_level",
    "fold",
    "split",
    "official_split",
    "mpp",
    "native_mpp",
    "objective",
    "n_lost",
    "licence",
    "source_sha256",
)
"""Fields of `Record` that a row holds as they are."""


def content_sha256(record: Record, label_spaces: Mapping[str, LabelSpace]) -> str:
    """Hash of the decoded arrays of a record and of what its class indices mean.

    It does not depend on how the arrays are compressed or in which order classes are numbered.
    """
    digest = sha256(f"{record.mpp:.6g}".encode())

    def add(what: str, array: NDArray[Any]) -> None:
        digest.update(f"|{what}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(np.ascontiguousarray(array).tobytes())

    def names(task: str, classes: NDArray[np.int64]) -> bytes:
        space = (NO_CLASS, *label_spaces[task].classes)
        return ",".join(space[index] for index in classes.tolist()).encode()

    add("image", record.image)
    for task, found in sorted(record.instances.items()):
        add(task, found.labels)
        add(f"{task} ids", found.ids)
        digest.update(names(task, found.classes))
    for what in ("signet_ring", "points", "valid"):
        if (array := getattr(record, what)) is not None:
            add(what, array)
    if record.point_classes is not None:
        digest.update(names("nuclei", record.point_classes))
    if record.tissue is not None:
        digest.update(label_spaces["tissue"].classes[record.tissue].encode())
    return digest.hexdigest()


def preview(record: Record, label_spaces: Mapping[str, LabelSpace]) -> NDArray[np.uint8]:
    """A small picture for viewers: the first annotated task drawn on the image."""
    picture = record.image
    for task in TASKS:
        if _is_drawable(record, task):
            picture = overlay(record, record, task, label_spaces[task])
            break
    shrink = min(1.0, PREVIEW_SIDE / max(picture.shape[:2]))
    height, width = (max(1, round(side * shrink)) for side in picture.shape[:2])
    return resize_image(picture, (height, width))


def _is_drawable(record: Record, task: str) -> bool:
    has_points = task == "nuclei" and record.points is not None
    has_boxes = task == "signet_ring" and record.signet_ring is not None
    has_tissue = task == "tissue" and record.tissue is not None
    return task in record.instances or has_points or has_boxes or has_tissue


def _file(data: bytes, path: str) -> dict[str, Any]:
    return {"bytes": data, "path": path.replace("/", "_")}


def _listed(array: NDArray[Any] | None) -> list[Any] | None:
    return None if array is None else array.tolist()


def _array(values: list[Any] | None, dtype: type[np.generic], *tail: int) -> Any:
    return None if values is None else np.array(values, dtype).reshape(-1, *tail)


def _shortest(value: float) -> float:
    """The shortest decimal of a float32, so that 0.62005 stays 0.62005."""
    return float(np.format_float_positional(np.float32(value), unique=True))


def _instances_to_row(task: str, found: Instances | None, name: str) -> Row:
    """An absent task is a null label map with empty lists."""
    row: Row = {task: None}
    if found is not None:
        row[task] = _file(encode_labels(found.labels, f"{name}: {task}"), f"{task}.png")
    if task in CLASSED_TASKS:
        row[f"{task}_ids"] = found.ids.tolist() if found else []
        row[f"{task}_classes"] = found.classes.tolist() if found else []
    return row


def _instances_from_row(task: str, row: Row) -> Instances:
    labels = decode_labels(row[task]["bytes"], f"{row['sample_id']}: {task}")
    if task in CLASSED_TASKS:
        ids, classes = (np.array(row[f"{task}_{what}"], np.int64) for what in ("ids", "classes"))
    else:
        ids = present_ids(labels)
        classes = np.ones_like(ids)
    return Instances(labels, ids, classes)


def _tissue_to_index(tissue: int | None, label_spaces: Mapping[str, LabelSpace]) -> int:
    space = label_spaces.get("tissue", TASKS["tissue"].labels)
    return len(space.classes) if tissue is None else tissue


def _tissue_from_index(index: int, label_spaces: Mapping[str, LabelSpace]) -> int | None:
    space = label_spaces.get("tissue", TASKS["tissue"].labels)
    return index if index < len(space.classes) else None
