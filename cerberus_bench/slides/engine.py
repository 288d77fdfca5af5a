"""Shards of a slide in one process: threads read ahead, one runs the network, others cut out.

The order in which shards are done, and by how many threads, changes nothing in what they hold.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from cerberus_bench.schema.machine import usable_cores
from cerberus_bench.slides.shard import (
    ShardMaps,
    ShardPixels,
    SlideWork,
    finish_shard,
    infer_shard,
    read_shard,
)

READ_AHEAD = 1
"""Shards whose pixels may wait for the network, besides the one that it works on."""
MOST_WORKERS = 8
MOST_READERS = 8


@dataclass(frozen=True, slots=True)
class Step:
    """How far a slide is."""

    px_done: int
    """Work px that this run's windows have decided, those of seams more than once."""
    px_all: int
    """Of this run."""
    nuclei: int
    """Found by this run."""


OnStep = Callable[[Step], object]


def default_workers() -> int:
    """Threads that cut out objects: half of the cores, the rest computes."""
    return min(MOST_WORKERS, max(1, usable_cores() // 2))


def run_shards(
    work: SlideWork,
    indices: Sequence[int],
    *,
    workers: int | None = None,
    on_step: OnStep = lambda step: None,
) -> None:
    """Do some shards of a slide.

    The network runs in the calling thread. An error or an interrupt stops it after the batch it is
    at; shards that have all their probabilities are still finished, the others are left undone.

    Args:
        work: the slide.
        indices: of the shards.
        workers: threads that cut out objects; half of the cores when None.
        on_step: told how far it is, after every batch and every shard, in the calling thread.

    Raises:
        DataError: the slide is damaged in one of the shards.
    """
    for index in indices:
        work.folder.clean_shard(index)
    tally = Tally(work, indices, on_step)
    with _pools(workers or default_workers()) as pools:
        for pixels in pools.ahead(work, indices):
            maps = infer_shard(work, pixels, tally.add_windows)
            del pixels
            tally.add_nuclei(pools.finish(work, maps))
            del maps
        tally.add_nuclei(pools.rest())


class Tally:
    """Counts what is done and tells it."""

    def __init__(self, work: SlideWork, indices: Sequence[int], on_step: OnStep) -> None:
        """Count what is to be done.

        Args:
            work: the slide.
            indices: of the shards that are to be done.
            on_step: what to tell.
        """
        self._window_px = work.plan.lattice.kept_px**2
        self._all = sum(len(work.windows(index)) for index in indices) * self._window_px
        self._done = self._nuclei = 0
        self._on_step = on_step

    def add_windows(self, n: int) -> None:
        """So many windows went through the network."""
        self._done += n * self._window_px
        self._tell()

    def add_nuclei(self, n: int) -> None:
        """So many nuclei were found."""
        self._nuclei += n
        self._tell()

    def _tell(self) -> None:
        self._on_step(Step(self._done, self._all, self._nuclei))


@dataclass(frozen=True, slots=True)
class _Pools:
    """Threads, and the bounds on what waits between them: memory does not grow with the slide."""

    one_ahead: ThreadPoolExecutor
    """Holds the shards that are read ahead."""
    readers: ThreadPoolExecutor
    """Reads the parts of one of them."""
    finishers: ThreadPoolExecutor
    pending: set[Future[int]]
    most_pending: int

    def ahead(self, work: SlideWork, indices: Sequence[int]) -> Iterator[ShardPixels]:
        """Shards in order, the next ones being read meanwhile."""
        waiting: deque[Future[ShardPixels]] = deque()
        for index in indices:
            waiting.append(self.one_ahead.submit(read_shard, work, index, self.readers.map))
            if len(waiting) > READ_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def finish(self, work: SlideWork, maps: ShardMaps) -> int:
        """Hand a shard over, and return how many nuclei those that ended meanwhile had."""
        n_nuclei = 0
        while len(self.pending) >= self.most_pending:
            n_nuclei += self._collect(wait(self.pending, return_when=FIRST_COMPLETED).done)
        self.pending.add(self.finishers.submit(finish_shard, work, maps))
        return n_nuclei + self._collect({future for future in self.pending if future.done()})

    def rest(self) -> int:
        """Wait for all that was handed over."""
        return self._collect(wait(self.pending).done)

    def _collect(self, ended: set[Future[int]]) -> int:
        self.pending.difference_update(ended)
        return sum(future.result() for future in ended)


@contextmanager
def _pools(workers: int) -> Iterator[_Pools]:
    """Threads that end when this does: what has begun is finished, the rest never begins."""
    readers = min(MOST_READERS, usable_cores())
    pools = _Pools(
        one_ahead=ThreadPoolExecutor(1, "slide"),
        readers=ThreadPoolExecutor(readers, "read"),
        finishers=ThreadPoolExecutor(workers, "finish"),
        pending=set(),
        most_pending=workers,
    )
    try:
        yield pools
    finally:
        pools.one_ahead.shutdown(cancel_futures=True)
        pools.readers.shutdown(cancel_futures=True)
        pools.finishers.shutdown()
