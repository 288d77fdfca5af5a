"""Nuclei of a shard, cut out block by block.

Blocks lie on one lattice of the whole slide. Each is cut out with a halo and owns the nuclei whose
centroid lies in its core, so that a nucleus is found once and the same whatever the shards.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cerberus_bench.model_zoo.backends import Probabilities
from cerberus_bench.model_zoo.instances import (
    InstanceTable,
    instance_table,
    nuclei_instances,
    pixel_outlines,
)
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.grid import HALO_PX, Box, WorkGrid, blocks_of
from cerberus_bench.slides.objects import OBJECTS, object_table
from cerberus_bench.slides.plan import Plan

INSTANCE, TYPE = "nuclei.instance", "nuclei.type"


@dataclass(frozen=True, slots=True)
class NucleiMaps:
    """Probabilities of nuclei over a shard and its halo; background where no window was put."""

    box: Box
    """Work px."""
    prob: NDArray[np.float32]
    """(H, W, 2) inner, contour."""
    types: NDArray[np.uint8] | None
    """(H, W) most probable class, 0 = background; None where the model knows no classes."""

    @classmethod
    def blank(cls, core: Box, grid: WorkGrid, outputs: Collection[str]) -> Self:
        """Maps of a shard before any window.

        Args:
            core: of the shard, work px.
            grid: of the slide.
            outputs: of the network.
        """
        box = core.grown(HALO_PX).meet(grid.box)
        shape = (box.height, box.width)
        types = np.zeros(shape, np.uint8) if TYPE in outputs else None
        return cls(box, np.zeros((*shape, 2), np.float32), types)

    def put(self, kept: Box, probabilities: Mapping[str, Probabilities]) -> None:
        """Add what one window decides.

        Args:
            kept: kept box of the window, work px; what lies outside the maps is left out.
            probabilities: output name -> (kept height, kept width, classes).
        """
        inside = kept.meet(self.box)
        if not inside.area:
            return
        source, target = inside.within(kept), inside.within(self.box)
        self.prob[target] = probabilities[INSTANCE][source][..., 1:]
        if self.types is not None:
            self.types[target] = probabilities[TYPE][source].argmax(axis=2)


def nuclei_table(core: Box, maps: NucleiMaps, plan: Plan, windows: Iterable[Box]) -> pa.Table:
    """Nuclei that a shard owns, as a table of `OBJECTS`.

    Args:
        core: of the shard.
        maps: of the shard.
        plan: of the slide.
        windows: kept boxes that were computed; blocks that meet none own nothing.
    """
    windows = list(windows)
    tables = [
        _of_block(block, maps, plan.grid, plan.facts)
        for block in blocks_of(core)
        if any(kept.meet(block).area for kept in windows)
    ]
    return pa.concat_tables([OBJECTS.empty_table(), *tables]).combine_chunks()


def _of_block(block: Box, maps: NucleiMaps, grid: WorkGrid, facts: SlideFacts) -> pa.Table:
    crop = block.grown(HALO_PX).meet(grid.box)
    part = crop.within(maps.box)
    prob = maps.prob[part]
    labels = nuclei_instances(prob, ties="local", threads=1)
    score = np.minimum(prob[..., 0] + prob[..., 1], 1)
    types = None if maps.types is None else maps.types[part]
    found = instance_table(labels, types, score, threads=1)
    mine = _owned(found, crop, block)
    classes = found.type if types is not None else np.ones(len(found), np.int32)
    return object_table(
        facts.label_spaces["nuclei"],
        classes[mine],
        np.clip(found.score[mine], 0, 1),
        found.area[mine] * (facts.pixel_area_um2 * grid.factor**2),
        found.centroid[mine],
        pixel_outlines(labels, found.starts_xy[mine]),
        origin_xy=(crop.x0, crop.y0),
        factor=grid.factor,
    )


def _owned(found: InstanceTable, crop: Box, block: Box) -> NDArray[np.bool_]:
    """Which nuclei have their centroid in the core of a block.

    Decided in whole numbers: two blocks see one nucleus at different offsets, and must agree.
    """
    area = found.area[:, None]
    sums = np.rint(found.centroid * area).astype(np.int64)
    x, y = ((2 * sums + area) // (2 * area) + (crop.x0, crop.y0)).T
    return np.asarray((block.x0 <= x) & (x < block.x1) & (block.y0 <= y) & (y < block.y1))
