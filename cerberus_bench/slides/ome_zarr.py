"""Objects of a slide as label images in OME-Zarr 0.5, one a task, painted from their outlines.

Pixels are those of the model's grid and hold object ids; 0 is background. Each image is a pyramid:
every level takes every second row and column of the one before.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.files import whole
from cerberus_bench.schema.tasks import INSTANCE_TASKS
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.geoparquet import count_objects, read_facts, read_objects
from cerberus_bench.slides.grid import Box, WorkGrid
from cerberus_bench.slides.objects import rings_of

if TYPE_CHECKING:
    import zarr

VERSION = "0.5"
CHUNK_PX = 1024
TILE_PX = 4 * CHUNK_PX
"""Side of what is painted at a time, px: whole chunks, which bound the memory."""
INSTALL = "pip install 'cerberus-bench[zarr]'"

_COLUMNS = ("id", "task", "area_um2", "geometry")


def write_ome_zarr(objects: Path, path: Path) -> int:
    """Write `labels/<task>` for each task of the model that has objects of its own.

    A pixel belongs to an object if its centre lies inside the outline, which gives back the pixels
    that the outline goes around, holes filled. Where outlines overlap, the smaller object is on
    top.

    Args:
        objects: a file of `write_objects`.
        path: folder to write, `.ome.zarr`; it appears when it is complete.

    Returns:
        How many objects there are.

    Raises:
        DataError: `objects` is missing, damaged or of another kind, or zarr is not installed.
    """
    try:
        import zarr
    except ImportError:
        raise DataError(f"OME-Zarr needs the package zarr: {INSTALL}") from None
    facts = read_facts(objects)
    grid = WorkGrid.of((facts.width, facts.height), facts.mpp_x, facts.model_mpp)
    tasks = [task for task in facts.label_spaces if task in INSTANCE_TASKS]
    with whole(path) as part:
        root = zarr.create_group(part, attributes={"ome": {"version": VERSION}})
        labels = root.create_group(
            "labels", attributes={"ome": {"version": VERSION, "labels": tasks}}
        )
        images = {task: _create_image(labels, task, facts, grid) for task in tasks}
        for tile in _tiles(grid.box):
            _paint_tile(objects, grid, tile, {task: levels[0] for task, levels in images.items()})
        for levels in images.values():
            for finer, coarser in pairwise(levels):
                _halve(finer, coarser)
    return count_objects(objects)


def _create_image(
    labels: "zarr.Group", task: str, facts: SlideFacts, grid: WorkGrid
) -> "list[zarr.Array[Any]]":
    from zarr.codecs import BloscCodec

    sides = [(grid.height, grid.width)]
    while max(sides[-1]) > CHUNK_PX:
        sides.append((-(-sides[-1][0] // 2), -(-sides[-1][1] // 2)))
    group = labels.create_group(
        task, attributes={"ome": _multiscale(task, facts, grid, len(sides))}
    )
    return [
        group.create_array(
            str(level),
            shape=shape,
            chunks=(CHUNK_PX, CHUNK_PX),
            dtype="uint32",
            fill_value=0,
            compressors=BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"),
            dimension_names=("y", "x"),
        )
        for level, shape in enumerate(sides)
    ]


def _multiscale(task: str, facts: SlideFacts, grid: WorkGrid, n_levels: int) -> dict[str, Any]:
    """The `ome` attribute of a label image."""
    um = {"y": facts.mpp_y, "x": facts.mpp_x}
    # positions count from the centre of px 0: that of the grid lies behind that of level 0
    offset = [(grid.factor - 1) / 2 * side for side in um.values()]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [grid.factor * 2**level * side for side in um.values()]},
                {"type": "translation", "translation": offset},
            ],
        }
        for level in range(n_levels)
    ]
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in um]
    return {
        "version": VERSION,
        "multiscales": [{"name": task, "axes": axes, "datasets": datasets, "type": "nearest"}],
        "image-label": {},
    }


def _tiles(box: Box) -> Iterator[Box]:
    for y in range(0, box.y1, TILE_PX):
        for x in range(0, box.x1, TILE_PX):
            yield Box(y, x, y + TILE_PX, x + TILE_PX).meet(box)


def _paint_tile(
    objects: Path, grid: WorkGrid, tile: Box, images: "dict[str, zarr.Array[Any]]"
) -> None:
    # a rounded vertex may lie half a px outside of its object's box
    y0, x0, y1, x1 = (side * grid.factor for side in tile.grown(1))
    rows = read_objects(objects, (x0, y0, x1, y1), columns=_COLUMNS)
    for task, image in images.items():
        mine = rows.filter(pc.equal(rows["task"].cast(pa.string()), task))
        if len(mine):
            image[tile.y0 : tile.y1, tile.x0 : tile.x1] = _painted(mine, grid, tile)


def _painted(rows: pa.Table, grid: WorkGrid, tile: Box) -> NDArray[np.uint32]:
    """(H, W) ids of the objects in a tile, larger ones below."""
    ids = rows["id"].to_numpy()
    order = np.lexsort((ids, -rows["area_um2"].to_numpy()))
    vertices, ends = rings_of(rows.take(order)["geometry"])
    canvas = np.zeros((tile.height, tile.width), np.uint32)
    for ring, y, start, stop in _runs(np.rint(vertices / grid.factor), ends, tile).tolist():
        canvas[y, start:stop] = ids[order[ring]]
    return canvas


def _runs(corners: NDArray[np.float64], ends: NDArray[np.int64], tile: Box) -> NDArray[np.int64]:
    """Stretches of pixels that rings along pixel edges enclose, within a tile.

    Args:
        corners: (N, 2) x, y of all closed rings, px. The cuts of `simple_rings`, rounded, are the
            corners that they were, passed twice.
        ends: (n,) the index behind the last corner of each.
        tile: the tile, px.

    Returns:
        (runs, 4) number of the ring, y, first x, x behind the last, ascending; px of the tile.
    """
    ring = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    x, y = (corners - (tile.x0, tile.y0)).astype(np.int64).T
    upright = np.flatnonzero((ring[1:] == ring[:-1]) & (y[1:] != y[:-1]))
    low, high = np.sort(np.clip([y[upright], y[upright + 1]], 0, tile.height), axis=0)
    lengths = high - low
    step = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = np.repeat(low, lengths) + step
    sides = np.repeat(np.clip(x[upright], 0, tile.width), lengths)
    rings = np.repeat(ring[upright], lengths)
    order = np.lexsort((sides, rows, rings))
    left, right = order[::2], order[1::2]
    return np.stack([rings[left], rows[left], sides[left], sides[right]], axis=1)


def _halve(finer: "zarr.Array[Any]", coarser: "zarr.Array[Any]") -> None:
    height, width = coarser.shape
    for tile in _tiles(Box(0, 0, height, width)):
        block = np.asarray(finer[2 * tile.y0 : 2 * tile.y1 : 2, 2 * tile.x0 : 2 * tile.x1 : 2])
        if block.any():
            coarser[tile.y0 : tile.y1, tile.x0 : tile.x1] = block
