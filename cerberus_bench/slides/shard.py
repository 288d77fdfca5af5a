"""One shard of a slide: pixels to probabilities to objects. Each step is a function of the slide.

A shard reads the windows that its core and a halo around it need, each pixel once. Nothing that it
computes depends on how the slide was cut into shards: see `grid`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cerberus_bench.model_zoo.backends import Probabilities
from cerberus_bench.slides.folder import ShardRecord, SlideFolder
from cerberus_bench.slides.grid import HALO_PX, Box
from cerberus_bench.slides.model import SlideModel
from cerberus_bench.slides.nuclei import NucleiMaps, nuclei_table
from cerberus_bench.slides.pixels import GridPixels, Mapper, Region
from cerberus_bench.slides.plan import Plan, windows_meeting
from cerberus_bench.slides.reader import SlideReader
from cerberus_bench.slides.regions import REGION_RULES, RegionMaps, write_regions
from cerberus_bench.slides.tissue import TissueCounts

NUCLEI_FILE, REGIONS_FILE, TISSUE_FILE = "nuclei.parquet", "regions.parquet", "tissue.parquet"

PUTTERS = 2
"""Threads that put windows into maps while the network computes the next ones."""


@dataclass(frozen=True)
class SlideWork:
    """All that the shards of a slide are computed from."""

    reader: SlideReader
    model: SlideModel
    plan: Plan
    folder: SlideFolder
    tissue: TissueCounts
    pixels: GridPixels
    part: tuple[int, int] | None = None
    """i, n of `--shard i/n`."""

    @classmethod
    def of(
        cls,
        reader: SlideReader,
        model: SlideModel,
        folder: SlideFolder,
        part: tuple[int, int] | None = None,
    ) -> "SlideWork":
        """Work on a slide that is planned.

        Args:
            reader: the slide.
            model: the network.
            folder: with the plan and the tissue.
            part: i, n of `--shard i/n`.
        """
        plan = folder.plan()
        tissue = TissueCounts(folder.tissue(plan), plan.grid)
        return cls(reader, model, plan, folder, tissue, GridPixels(reader, plan.grid), part)

    def windows(self, index: int) -> list[Box]:
        """Kept boxes of the windows that a shard needs, in raster order."""
        halo = HALO_PX if "nuclei" in self.plan.model.label_spaces else 0
        seen = self.plan.shards[index].grown(halo).meet(self.plan.grid.box)
        return list(windows_meeting(seen, self.plan.lattice, self.tissue))


@dataclass(frozen=True, slots=True)
class ShardPixels:
    """A shard after reading."""

    index: int
    windows: list[Box]
    """Kept boxes, work px."""
    region: Region
    seconds: float


@dataclass(slots=True)
class ShardMaps:
    """A shard after the network. Windows may be put from several threads."""

    index: int
    core: Box
    windows: list[Box]
    nuclei: NucleiMaps | None
    regions: RegionMaps | None
    tissue: dict[Box, NDArray[np.float32]]
    """Kept box -> class probabilities, of the windows whose centre lies in the core."""
    px_read: int
    seconds: float

    @classmethod
    def blank(cls, work: SlideWork, shard: ShardPixels) -> "ShardMaps":
        """Maps of a shard before any window."""
        plan, outputs = work.plan, work.model.outputs
        core, tasks = plan.shards[shard.index], plan.model.label_spaces
        return cls(
            index=shard.index,
            core=core,
            windows=shard.windows,
            nuclei=NucleiMaps.blank(core, plan.grid, outputs) if "nuclei" in tasks else None,
            regions=RegionMaps(core, outputs) if REGION_RULES.keys() & tasks.keys() else None,
            tissue={},
            px_read=shard.region.px_read,
            seconds=shard.seconds,
        )

    def put(self, kept: Box, probabilities: Mapping[str, Probabilities]) -> None:
        """Add what one window says.

        Args:
            kept: its kept box, work px.
            probabilities: output name -> (kept height, kept width, classes), or (classes,).
        """
        if self.nuclei is not None:
            self.nuclei.put(kept, probabilities)
        if self.regions is not None:
            self.regions.put(kept, probabilities)
        y, x = kept.centre
        if "tissue" in probabilities and self.core.holds(y, x):
            self.tissue[kept] = probabilities["tissue"]


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """A shard after its objects were cut out: small, and nothing in it knows this machine."""

    index: int
    files: dict[str, bytes]
    record: ShardRecord

    def write(self, folder: SlideFolder) -> int:
        """Write the shard, and return how many nuclei it owns."""
        folder.write_shard(self.index, self.files, self.record)
        return self.record.n_nuclei


def read_shard(work: SlideWork, index: int, mapper: Mapper = map) -> ShardPixels:
    """Read what a shard needs.

    Args:
        work: the slide.
        index: of the shard.
        mapper: the builtin `map`, or that of an executor to read in several threads.
    """
    begin = perf_counter()
    windows = work.windows(index)
    seen = [kept.grown(work.plan.layout.margin_px) for kept in windows]
    region = work.pixels.read(seen, mapper)
    return ShardPixels(index, windows, region, perf_counter() - begin)


def infer_shard(
    work: SlideWork, shard: ShardPixels, on_windows: Callable[[int], object] = lambda n: None
) -> ShardMaps:
    """Run the network on a shard's windows.

    Args:
        work: the slide.
        shard: what was read.
        on_windows: told after every batch how many windows it had.
    """
    begin = perf_counter()
    maps = ShardMaps.blank(work, shard)
    with ThreadPoolExecutor(PUTTERS, "put") as pool:
        putting: list[Future[None]] = []
        for batch, found in _batches(work, shard):
            _finished(putting)
            putting = [
                pool.submit(maps.put, kept, {name: values[i] for name, values in found.items()})
                for i, kept in enumerate(batch)
            ]
            on_windows(len(batch))
        _finished(putting)
    maps.seconds += perf_counter() - begin
    return maps


def _finished(futures: Iterable[Future[None]]) -> None:
    for future in futures:
        future.result()


def finish_shard(work: SlideWork, shard: ShardMaps) -> int:
    """Cut the objects of a shard out of its maps and write its files.

    Returns:
        How many nuclei it owns.
    """
    return shard_files(work, shard).write(work.folder)


def shard_files(work: SlideWork, shard: ShardMaps) -> ShardFiles:
    """Cut the objects of a shard out of its maps."""
    begin = perf_counter()
    plan, files = work.plan, dict[str, bytes]()
    n_nuclei = 0
    if shard.nuclei is not None:
        nuclei = nuclei_table(shard.core, shard.nuclei, plan, shard.windows)
        files[NUCLEI_FILE] = _written(partial(pq.write_table, nuclei, compression="zstd"))
        n_nuclei = len(nuclei)
    if shard.regions is not None:
        files[REGIONS_FILE] = _written(partial(write_regions, shard.regions.table()))
    if "tissue" in plan.model.label_spaces:
        files[TISSUE_FILE] = _written(partial(pq.write_table, _tissue_table(plan, shard)))
    needed = sum(kept.meet(shard.core).area for kept in shard.windows)
    record = ShardRecord(
        files={name: sha256(content).hexdigest() for name, content in files.items()},
        seconds=shard.seconds + perf_counter() - begin,
        px_read=shard.px_read,
        px_needed=needed * work.pixels.px_per_px,
        n_nuclei=n_nuclei,
        part=work.part,
    )
    return ShardFiles(shard.index, files, record)


def _written(write: Callable[[pa.NativeFile], object]) -> bytes:
    stream = pa.BufferOutputStream()
    write(stream)
    return bytes(stream.getvalue())


def _batches(
    work: SlideWork, shard: ShardPixels
) -> Iterator[tuple[Sequence[Box], dict[str, Probabilities]]]:
    """Windows with their probabilities, batch by batch, all batches of one shape."""
    layout, outer = work.plan.layout, shard.region.box
    side = work.plan.lattice.window_px
    windows = iter(shard.windows)
    while batch := list(islice(windows, layout.windows_a_batch)):
        pixels = np.zeros((layout.windows_a_batch, side, side, 3), np.uint8)
        for i, kept in enumerate(batch):
            pixels[i] = shard.region.pixels[kept.grown(layout.margin_px).within(outer)]
        yield batch, work.model.network(pixels, work.model.outputs, layout.margin_px)


def _tissue_table(plan: Plan, shard: ShardMaps) -> pa.Table:
    """Centres of windows x, y in level-0 px, and the probability of each class there."""
    classes = plan.model.label_spaces["tissue"]
    places = [kept for kept in shard.windows if kept in shard.tissue]
    yx = np.array([kept.centre for kept in places], np.float64).reshape(-1, 2)
    level0 = plan.grid.to_level0(yx[:, ::-1])
    rows = np.array([shard.tissue[kept] for kept in places], np.float32)
    values = rows.reshape(-1, len(classes))
    columns = {"x": level0[:, 0], "y": level0[:, 1]}
    return pa.table(columns | {name: values[:, i] for i, name in enumerate(classes)})
