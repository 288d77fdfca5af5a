"""What a shard keeps of glands and lumina, so that they can be joined over the whole slide.

Glands and lumina are cut out at twice the model's pixel size (1 mpp, the published scale of .5).
For its own area a shard keeps which pixels are foreground, the class of every pixel, and the score
of each connected part: a few bits a pixel in place of the probabilities.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cerberus_bench.model_zoo.region_rules import GLAND_RULES, LUMEN_RULES
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.grid import Box

REGION_RULES = {"gland": GLAND_RULES, "lumen": LUMEN_RULES}
"""Tasks whose objects may be larger than a shard, in the order in which they are joined."""
SCALE = 0.5
"""Half px a work px: the scale factor of the rules."""
SCORE_STEPS = 255
"""Foreground probabilities are summed as integers of this many steps, in any order alike."""

REGIONS = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        *(pa.field(side, pa.int32(), nullable=False) for side in Box._fields),
        pa.field("foreground", pa.binary(), nullable=False),
        pa.field("types", pa.binary()),
        pa.field("areas", pa.list_(pa.int64()), nullable=False),
        pa.field("sums", pa.list_(pa.int64()), nullable=False),
    ]
)
"""One row a task. Box in half px; `foreground` one bit a px, rows padded to whole bytes; `types`
one byte a px, null where the task has no type map; `areas` (half px) and `sums` (of foreground
probability, steps of 1 / `SCORE_STEPS`) of the 4-connected parts in raster order of their first
pixels."""


@dataclass(frozen=True, slots=True)
class LocalRegions:
    """Foreground of one task in one shard."""

    box: Box
    """Half px."""
    labels: NDArray[np.int32]
    """(H, W) 4-connected parts 1..n in raster order of their first pixels."""
    boxes: NDArray[np.int32]
    """(n, 4) y0, x0, y1, x1 of each part, half px of the slide."""
    firsts: NDArray[np.int64]
    """(n, 2) y, x of the first pixel of each part in raster order, half px of the slide."""
    areas: NDArray[np.int64]
    """(n,) half px."""
    sums: NDArray[np.int64]
    """(n,) foreground probability, steps of 1 / `SCORE_STEPS`."""


class RegionMaps:
    """Collects what `REGIONS` holds from the windows of a shard, in any order.

    Where no window is put is background. Windows may be put from several threads.
    """

    def __init__(self, core: Box, outputs: Collection[str]) -> None:
        """Begin a shard.

        Args:
            core: the shard's own area, work px; begins at even coordinates.
            outputs: names of the model's dense outputs.
        """
        if core.y0 % 2 or core.x0 % 2:
            raise ValueError(f"a shard at {core} does not begin at even coordinates")
        self._box = Box(*(side // 2 for side in core))
        shape = (self._box.height, self._box.width)
        tasks = [task for task in REGION_RULES if f"{task}.instance" in outputs]
        self._foreground = {task: np.zeros(shape, np.bool_) for task in tasks}
        self._score = {task: np.zeros(shape, np.uint8) for task in tasks}
        self._types = {
            task: np.zeros(shape, np.uint8) for task in tasks if f"{task}.type" in outputs
        }

    def put(self, kept: Box, probabilities: Mapping[str, NDArray[np.float32]]) -> None:
        """Add what one window decides; what lies outside the shard is left out.

        Args:
            kept: kept box of the window, work px; begins and ends at even coordinates.
            probabilities: dense output name -> (kept height, kept width, classes).
        """
        if any(side % 2 for side in kept):
            raise ValueError(f"a window at {kept} does not begin and end at even coordinates")
        half = Box(*(side // 2 for side in kept))
        inside = half.meet(self._box)
        if not inside.area:
            return
        source, target = inside.within(half), inside.within(self._box)
        for task, foreground in self._foreground.items():
            background, inner, contour = np.moveaxis(
                half_means(probabilities[f"{task}.instance"])[source], 2, 0
            )
            foreground[target] = REGION_RULES[task].foreground(inner, contour)
            self._score[task][target] = np.rint(SCORE_STEPS * (1 - background))
        for task, types in self._types.items():
            means = half_means(probabilities[f"{task}.type"])
            types[target] = means[source].argmax(axis=2)

    def table(self) -> pa.Table:
        """The shard's rows of `REGIONS`."""
        return pa.Table.from_pylist([self._row(task) for task in self._foreground], schema=REGIONS)

    def _row(self, task: str) -> dict[str, Any]:
        foreground, types = self._foreground[task], self._types.get(task)
        labels, _ = _labels(foreground)
        inside = labels[foreground]
        scores = self._score[task][foreground]
        return {
            "task": task,
            **self._box._asdict(),
            "foreground": np.packbits(foreground, axis=1).tobytes(),
            "types": None if types is None else types.tobytes(),
            "areas": np.bincount(inside)[1:].astype(np.int64),
            "sums": np.bincount(inside, weights=scores)[1:].astype(np.int64),
        }


def half_means(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2 x 2 px.

    Args:
        values: (H, W, classes), H and W even.

    Returns:
        (H / 2, W / 2, classes), summed in one fixed order.
    """
    rows = values[0::2] + values[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25)


def write_regions(table: pa.Table, where: Path | pa.NativeFile) -> None:
    """Write a table of `REGIONS` as parquet; equal tables give equal bytes."""
    pq.write_table(table, where, compression="zstd", use_dictionary=False)


def read_box(path: Path) -> Box:
    """Box of a shard, half px.

    Raises:
        DataError: the file is damaged.
    """
    rows = _read_rows(path, [])
    if not rows:
        raise DataError(_damaged(path))
    return _box_of(rows[0])


def read_regions(path: Path, task: str) -> LocalRegions | None:
    """Foreground of a task in a shard, None where the shard has no such task.

    Raises:
        DataError: the file is damaged.
    """
    columns = ["foreground", "areas", "sums"]
    row = _read_row(path, task, columns)
    if row is None:
        return None
    box = _box_of(row)
    packed = _array(path, row["foreground"], (box.height, (box.width + 7) // 8))
    foreground = np.unpackbits(packed, axis=1, count=box.width)
    labels, stats = _labels(foreground)
    areas, sums = (np.array(row[name], np.int64) for name in ("areas", "sums"))
    if not np.array_equal(areas, stats[1:, cv2.CC_STAT_AREA]) or len(sums) != len(areas):
        raise DataError(_damaged(path))
    starts, sizes = stats[1:, [1, 0]] + (box.y0, box.x0), stats[1:, [3, 2]]
    return LocalRegions(
        box=box,
        labels=labels,
        boxes=np.hstack([starts, starts + sizes]).astype(np.int32),
        firsts=_first_pixels(labels, stats) + np.array([box.y0, box.x0]),
        areas=areas,
        sums=sums,
    )


def read_types(path: Path, task: str) -> tuple[Box, NDArray[np.uint8]] | None:
    """Box of a shard in half px and the class of each of its pixels, (H, W), 0 = none.

    None where the shard has no type map for the task.

    Raises:
        DataError: the file is damaged.
    """
    row = _read_row(path, task, ["types"])
    if row is None or row["types"] is None:
        return None
    box = _box_of(row)
    return box, _array(path, row["types"], (box.height, box.width))


def _labels(
    foreground: NDArray[np.bool_] | NDArray[np.uint8],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """4-connected parts, numbered in raster order of their first pixels, and OpenCV's statistics.

    An odd last row of a slide may be a shard of its own, of no half px at all.
    """
    if not foreground.size:
        return np.zeros(foreground.shape, np.int32), np.zeros((1, 5), np.int32)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        foreground.astype(np.uint8), connectivity=4
    )
    return np.asarray(labels, np.int32), np.asarray(stats, np.int32)


def _first_pixels(labels: NDArray[Any], stats: NDArray[Any]) -> NDArray[np.int64]:
    """(n, 2) y, x of the first pixel of each part: the first one in the top row of its box."""
    firsts = np.empty((len(stats) - 1, 2), np.int64)
    for i, (left, top, width) in enumerate(stats[1:, :3].tolist(), start=1):
        firsts[i - 1] = top, left + int((labels[top, left : left + width] == i).argmax())
    return firsts


def _read_row(path: Path, task: str, columns: list[str]) -> dict[str, Any] | None:
    return next((row for row in _read_rows(path, columns) if row["task"] == task), None)


def _read_rows(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    try:
        table = pq.read_table(path, columns=["task", *Box._fields, *columns], partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{_damaged(path)} ({error})") from None
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _box_of(row: Mapping[str, Any]) -> Box:
    return Box(*(row[side] for side in Box._fields))


def _array(path: Path, data: bytes, shape: tuple[int, int]) -> NDArray[np.uint8]:
    if len(data) != shape[0] * shape[1]:
        raise DataError(_damaged(path))
    return np.frombuffer(data, np.uint8).reshape(shape)


def _damaged(path: Path) -> str:
    return f"{path} is damaged. Remove its folder and run predict again: only that shard is redone."
