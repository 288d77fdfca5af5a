"""Glands and lumina of a whole slide, joined from what its shards keep of them.

The rules are those of `gland_instances`, `lumen_instances` and `lumina_inside_glands` at a scale
of .5, applied to whole components: the objects are those that these functions give for the map of
the whole slide. There never is such a map: one shard after the other is read, and an object is
kept as bits in tiles.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cerberus_bench.model_zoo.region_rules import RegionRules, growing_box
from cerberus_bench.slides.components import RegionShards, find_components, gather
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.grid import Box, WorkGrid, meeting
from cerberus_bench.slides.masks import Mask, TiledMask, grow
from cerberus_bench.slides.objects import object_table
from cerberus_bench.slides.outlines import outline
from cerberus_bench.slides.regions import REGION_RULES, SCALE

CELL_PX = 256
"""Side of the cells that boxes of objects are looked up by, half px."""
BATCH = 1000
"""Most objects of a table."""


@dataclass(frozen=True, slots=True)
class Region:
    """One gland or lumen, half px of the slide."""

    id: int
    """Rank of its component in raster order, from 1: its id in the label map of the slide."""
    type: int
    """One-based class, 0 = none; 1 where the task has no type map."""
    score: float
    """Mean probability of inner part or contour over the component before it was grown."""
    area: int
    centroid: tuple[float, float]
    """x, y, from the centre of the first pixel."""
    outline: NDArray[np.float64]
    """(vertices, 2) x, y, from the corner of the slide, along the edges of pixels."""


def join_regions(files: Sequence[Path], grid: WorkGrid, facts: SlideFacts) -> Iterator[pa.Table]:
    """Glands and lumina of a whole slide, as tables of `OBJECTS`.

    Args:
        files: region files, in raster order of the shards. Where there is no shard is background.
        grid: the slide at the model's resolution.
        facts: the slide and the model's label spaces.

    Yields:
        Objects of one task. Their order depends on the shards, the objects do not.

    Raises:
        DataError: a file is damaged.
    """
    tasks = [task for task in REGION_RULES if task in facts.label_spaces]
    factor = grid.factor / SCALE
    pixel_um2 = facts.pixel_area_um2 * factor**2
    found = find_regions(files, tasks, grid.half_shape)
    for task, regions in groupby(found, key=lambda pair: pair[0]):
        space = facts.label_spaces[task]
        while batch := [region for _, region in islice(regions, BATCH)]:
            yield object_table(
                space,
                np.array([region.type for region in batch]),
                np.array([region.score for region in batch]),
                np.array([region.area * pixel_um2 for region in batch]),
                np.array([region.centroid for region in batch]),
                [region.outline for region in batch],
                factor=factor,
            )


def find_regions(
    files: Sequence[Path], tasks: Collection[str], shape: tuple[int, int]
) -> Iterator[tuple[str, Region]]:
    """Glands and lumina of a whole slide with their tasks; see `join_regions`.

    Objects that are lines of pixels are left out, as `instance_table` leaves them out. Lumina are
    cut by glands where both are among the tasks.

    Args:
        files: region files, in raster order of the shards.
        tasks: names from `REGION_RULES`.
        shape: (H, W) of the slide, half px.
    """
    glands: _Grown | None = None
    for task, rules in REGION_RULES.items():
        if task in tasks:
            shards = RegionShards(files, task)
            grown = _Grown(shards, rules, shape)
            within = glands if task == "lumen" else None
            for region in (grown.measure(i, within) for i in grown.by_shard):
                if region is not None:
                    yield task, region
            glands = grown if task == "gland" else glands


class _Grown:
    """All objects of a task, grown. They may overlap: where they do, the last one is seen."""

    def __init__(self, shards: RegionShards, rules: RegionRules, shape: tuple[int, int]) -> None:
        self._shards = shards
        self._components = find_components(shards, rules.min_area_at(SCALE))
        self.by_shard = sorted(
            range(len(self._components)), key=lambda i: int(self._components[i].shards[0])
        )
        """Indices of the objects, those of a shard one after the other: each is read once."""
        kernel = rules.kernel(SCALE)
        self._masks: dict[int, TiledMask] = {}
        self._boxes = np.zeros((len(self._components), 4), np.int64)
        self._cells: dict[tuple[int, int], list[int]] = {}
        for i in self.by_shard:
            component = self._components[i]
            box = _crop(component.box, kernel, shape)
            mask = grow(gather(component, shards), box, kernel)
            mask.compress()
            self._masks[i], self._boxes[i] = mask, box
            for cell in _cells(box):
                self._cells.setdefault(cell, []).append(i)

    def measure(self, i: int, within: Self | None) -> Region | None:
        """What is seen of an object, None where that has no outline.

        Args:
            i: index of the object.
            within: objects outside of which nothing is seen.
        """
        mask = self._seen(i, within)
        vertices = outline(mask)
        if not len(vertices):
            return None
        area, x, y = mask.sums()
        return Region(
            id=i + 1,
            type=self._majority(mask),
            score=self._components[i].score,
            area=area,
            centroid=(x, y),
            outline=vertices,
        )

    def _seen(self, i: int, within: Self | None) -> TiledMask:
        whole = self._masks[i]
        later = self._meeting(whole.box)
        later = later[later > i]
        if not len(later) and within is None:
            return whole
        around = within._meeting(whole.box) if within is not None else None
        seen = TiledMask(whole.box)
        for band in whole.bands():
            pixels = whole.get(band) & ~self._covered(later, band)
            if within is not None and around is not None:
                pixels &= within._covered(around, band)
            seen.put(band, pixels)
        return seen

    def _meeting(self, box: Box) -> NDArray[np.int64]:
        """Objects whose boxes meet a box."""
        near = {i for cell in _cells(box) for i in self._cells.get(cell, ())}
        return self._met(np.array(sorted(near), np.int64), box)

    def _met(self, objects: NDArray[np.int64], box: Box) -> NDArray[np.int64]:
        return objects[meeting(self._boxes[objects], box)]

    def _covered(self, objects: NDArray[np.int64], box: Box) -> Mask:
        """Pixels of a box that any of some objects covers."""
        covered = np.zeros((box.height, box.width), np.uint8)
        for i in self._met(objects, box).tolist():
            part = self._masks[i].box.meet(box)
            covered[part.within(box)] |= self._masks[i].get(part)
        return covered

    def _majority(self, mask: TiledMask) -> int:
        """The most frequent class inside but none, of equally frequent ones the lower."""
        counts = np.zeros(256, np.int64)
        for number in self._shards.meeting(mask.box):
            found = self._shards.types(number)
            if found is None:
                return 1
            box, types = found
            part = mask.box.meet(box)
            inside = mask.get(part) > 0
            counts += np.bincount(types[part.within(box)][inside], minlength=256)
        return int(counts[1:].argmax()) + 1 if counts[1:].any() else 0


def _crop(box: Box, kernel: NDArray[np.uint8], shape: tuple[int, int]) -> Box:
    rows, columns = growing_box((slice(box.y0, box.y1), slice(box.x0, box.x1)), kernel, shape)
    return Box(rows.start, columns.start, rows.stop, columns.stop)


def _cells(box: Box) -> Iterator[tuple[int, int]]:
    for row in range(box.y0 // CELL_PX, -(-box.y1 // CELL_PX)):
        for column in range(box.x0 // CELL_PX, -(-box.x1 // CELL_PX)):
            yield row, column
