"""Connected components of a whole slide, from the parts of them that lie in its shards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.slides.grid import Box, meeting
from cerberus_bench.slides.masks import TiledMask, merged, touching
from cerberus_bench.slides.regions import (
    SCORE_STEPS,
    LocalRegions,
    read_box,
    read_regions,
    read_types,
)

CACHED_SHARDS = 6
"""Shards that are kept after use: neighbours in a row and below it."""

_PART = np.dtype(
    [(name, np.int64) for name in ("shard", "label", "area", "sum", *Box._fields, "first")]
)


class RegionShards:
    """Region files of one task, read when needed; few are held at a time."""

    def __init__(self, files: Sequence[Path], task: str) -> None:
        """Take the files, in raster order of the shards.

        Raises:
            DataError: a file is damaged.
        """
        self._files, self._task = list(files), task
        boxes = [read_box(file) for file in self._files]
        self._boxes = np.array(boxes, np.int64).reshape(-1, 4)
        if boxes != sorted(boxes):
            raise ValueError("region files are not in the raster order of their shards")
        self.regions = lru_cache(CACHED_SHARDS)(self._read_regions)
        """Foreground of a shard by its number, None where it has no row of the task."""
        self.types = lru_cache(CACHED_SHARDS)(self._read_types)
        """Box of a shard and the class of each of its pixels, None without a type map."""

    def __len__(self) -> int:
        """How many shards there are."""
        return len(self._files)

    def meeting(self, box: Box) -> list[int]:
        """Numbers of the shards that meet a box."""
        return list(map(int, np.flatnonzero(meeting(self._boxes, box))))

    def _read_regions(self, number: int) -> LocalRegions | None:
        return read_regions(self._files[number], self._task)

    def _read_types(self, number: int) -> tuple[Box, NDArray[np.uint8]] | None:
        return read_types(self._files[number], self._task)


@dataclass(frozen=True, slots=True)
class Component:
    """A component and where its parts lie."""

    box: Box
    """Half px."""
    score: float
    """Mean foreground probability."""
    shards: NDArray[np.int64]
    """Shard of every part, ascending."""
    labels: NDArray[np.int64]
    """Label of every part in its shard."""


def find_components(shards: RegionShards, min_area: int) -> list[Component]:
    """Components of at least `min_area` half px, in raster order of their first pixels.

    That is the order in which the map of the whole slide would be labelled.

    Raises:
        DataError: a file is damaged.
    """
    parts, links = _parts_and_links(shards)
    if not len(parts):
        return []
    component = merged(len(parts) + 1, links)[1:]
    parts = parts[np.argsort(component, kind="stable")]
    starts = np.searchsorted(np.sort(component), np.unique(component))
    areas, sums = (np.add.reduceat(parts[name], starts) for name in ("area", "sum"))
    lows = [np.minimum.reduceat(parts[name], starts) for name in ("y0", "x0", "first")]
    highs = [np.maximum.reduceat(parts[name], starts) for name in ("y1", "x1")]
    boxes = np.stack([*lows[:2], *highs], axis=1).tolist()
    members = np.split(parts, starts[1:])
    return [
        Component(
            box=Box(*boxes[i]),
            score=min(1.0, float(sums[i]) / (SCORE_STEPS * float(areas[i]))),
            shards=members[i]["shard"],
            labels=members[i]["label"],
        )
        for i in np.argsort(lows[2]).tolist()
        if areas[i] >= min_area
    ]


def gather(component: Component, shards: RegionShards) -> TiledMask:
    """Pixels of a component."""
    mask = TiledMask(component.box)
    for number in np.unique(component.shards).tolist():
        local = shards.regions(number)
        assert local is not None  # it has parts of the component
        wanted = np.zeros(len(local.areas) + 1, bool)
        wanted[component.labels[component.shards == number]] = True
        box = component.box.meet(local.box)
        mask.put(box, wanted[local.labels[box.within(local.box)]])
    return mask


def _parts_and_links(
    shards: RegionShards,
) -> tuple[NDArray[Any], list[NDArray[np.int64]]]:
    """All parts, the i-th of which has id i + 1, and pairs of ids that touch across a seam."""
    parts, links = [np.zeros(0, _PART)], list[NDArray[np.int64]]()
    right: dict[tuple[int, int], NDArray[np.int64]] = {}
    below: dict[tuple[int, int], NDArray[np.int64]] = {}
    count = 0
    for number in range(len(shards)):
        local = shards.regions(number)
        if local is None or not local.box.area:
            continue
        top, bottom, left, end = (
            np.where(line > 0, line.astype(np.int64) + count, 0) for line in _edges(local)
        )
        box = local.box
        for waiting, line in ((right, left), (below, top)):
            if (neighbour := waiting.pop((box.y0, box.x0), None)) is not None:
                links += touching(neighbour, line)
        right[box.y0, box.x1], below[box.y1, box.x0] = end, bottom
        parts.append(_rows(local, number))
        count += len(local.areas)
    return np.concatenate(parts), links


def _edges(local: LocalRegions) -> Iterator[NDArray[np.int32]]:
    labels = local.labels
    yield from (labels[0], labels[-1], labels[:, 0], labels[:, -1])


def _rows(local: LocalRegions, number: int) -> NDArray[Any]:
    rows = np.zeros(len(local.areas), _PART)
    rows["shard"], rows["label"] = number, np.arange(1, len(rows) + 1)
    rows["area"], rows["sum"] = local.areas, local.sums
    for axis, name in enumerate(Box._fields):
        rows[name] = local.boxes[:, axis]
    rows["first"] = local.firsts @ np.array([2**32, 1])  # ordered by y, then x
    return rows
