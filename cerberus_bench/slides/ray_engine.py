"""Shards of a slide on Ray: one worker a device, on one machine or on many (extra `ray`).

Workers read the slide themselves, at the path that it has here, and give back the bytes of a
shard's files; only this process writes. The functions are those of the engine of threads, and so
are the bytes.
"""

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.machine import usable_cores
from cerberus_bench.slides.engine import OnStep, Tally
from cerberus_bench.slides.folder import SlideFolder
from cerberus_bench.slides.model import SlideModel
from cerberus_bench.slides.pixels import GridPixels
from cerberus_bench.slides.plan import Plan
from cerberus_bench.slides.reader import SlideReader
from cerberus_bench.slides.shard import (
    ShardFiles,
    SlideWork,
    infer_shard,
    read_shard,
    shard_files,
)
from cerberus_bench.slides.tissue import TissueCounts

IN_FLIGHT = 2
"""Shards that a worker has at a time: the network runs on one, the other is read or cut up."""
MOST_LOSSES = 3
"""Workers that may be lost over one shard before it is given up."""
START_S = 300
"""How long to wait for a worker where there is none, seconds."""
STORE_BYTES = 2**29
"""Ray's object store where Ray is started here: it holds the model and the files of few shards."""


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """How a worker comes by the slide and the model; it is sent to each of them."""

    open_reader: Callable[[], SlideReader]
    open_model: Callable[[], SlideModel]


def run_shards_on_ray(
    setup: WorkerSetup,
    work: SlideWork,
    indices: Sequence[int],
    *,
    workers: int | None = None,
    on_step: OnStep = lambda step: None,
) -> None:
    """Do some shards of a slide on Ray.

    Ray is the cluster that `RAY_ADDRESS` names, or else is started on this machine and ended
    again. A shard whose worker is lost is done by another one.

    Args:
        setup: opens the slide and the model on a worker.
        work: the slide.
        indices: of the shards.
        workers: how many; when None, one a GPU for a model on GPUs, else one a machine.
        on_step: told how far it is after every shard.

    Raises:
        DataError: Ray is not installed, no worker starts, a shard is lost again and again, or the
            slide is damaged.
    """
    for index in indices:
        work.folder.clean_shard(index)
    if not indices:
        return
    with connected(workers) as ray:
        pool = _Pool(ray, _WorkerFactory(ray, work, setup, workers), most=len(indices))
        tally = Tally(work, indices, on_step)
        for files in pool.run(indices):
            n_nuclei = files.write(work.folder)
            tally.add_windows(len(work.windows(files.index)))
            tally.add_nuclei(n_nuclei)


class ShardWorker:
    """What runs on a device; Ray calls it from `IN_FLIGHT` threads."""

    def __init__(
        self,
        setup: WorkerSetup,
        plan: Plan,
        folder: SlideFolder,
        tissue: TissueCounts,
        part: tuple[int, int] | None,
    ) -> None:
        """Open the slide and the model."""
        reader = setup.open_reader()
        pixels = GridPixels(reader, plan.grid)
        self._work = SlideWork(reader, setup.open_model(), plan, folder, tissue, pixels, part)
        self._network = Lock()

    def do(self, index: int) -> ShardFiles:
        """A shard from pixels to the bytes of its files."""
        pixels = read_shard(self._work, index)
        with self._network:
            maps = infer_shard(self._work, pixels)
        del pixels
        return shard_files(self._work, maps)


class _WorkerFactory:
    """Starts workers, all alike."""

    def __init__(self, ray: Any, work: SlideWork, setup: WorkerSetup, n: int | None) -> None:
        on_gpu = work.plan.model.device == "cuda"
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        n_gpus = int(sum(node.get("GPU", 0) for node in nodes))
        self.n = n or (n_gpus if on_gpu else len(nodes))
        if not self.n:
            raise DataError(
                "the model is on a GPU here, and Ray has none. Start Ray with --num-gpus, or hide"
                " this machine's by CUDA_VISIBLE_DEVICES=."
            )
        a_node = -(-self.n // len(nodes))
        cores = min(node.get("CPU", 1) for node in nodes)
        self._worker = ray.remote(ShardWorker).options(
            num_cpus=1 if on_gpu else max(1, cores // a_node),
            num_gpus=1 if on_gpu else 0,
            max_concurrency=IN_FLIGHT,
            scheduling_strategy="SPREAD",
        )
        self._setup = ray.put(setup)
        self._job = (work.plan, work.folder, work.tissue, work.part)

    def start(self) -> tuple[Any, Any]:
        """A worker, and the reference that is there when it is ready."""
        worker = self._worker.remote(self._setup, *self._job)
        return worker.__ray_ready__.remote(), worker


class _Pool:
    """Workers, and the shards that they are at. A worker that is lost is replaced."""

    def __init__(self, ray: Any, factory: _WorkerFactory, most: int) -> None:
        self._ray, self._factory = ray, factory
        self._starting = dict(factory.start() for _ in range(min(factory.n, most)))
        """Reference that is there when a worker is ready -> the worker."""
        self._ready: list[Any] = []
        self._busy: dict[Any, tuple[Any, int]] = {}
        """Reference of the files of a shard -> who is at it, and the shard."""
        self._losses = Counter[int]()

    def run(self, indices: Sequence[int]) -> Iterator[ShardFiles]:
        """Files of shards, as they come."""
        waiting = deque(indices)
        while waiting or self._busy:
            self._hand_out(waiting)
            reference = self._next()
            if reference in self._starting:
                self._add_ready(reference)
                continue
            worker, index = self._busy.pop(reference)
            files = self._files(reference)
            if files is not None:
                yield files
                continue
            self._replace(worker)
            self._losses[index] += 1
            if self._losses[index] == MOST_LOSSES:
                raise DataError(
                    f"shard {index:05d}: {MOST_LOSSES} Ray workers were lost over it, for want of"
                    " memory perhaps. Give fewer --workers, or a smaller --shard-px."
                )
            waiting.appendleft(index)

    def _hand_out(self, waiting: deque[int]) -> None:
        """Give every worker as many shards as it may have: the rest wait here, not with Ray."""
        load = Counter(worker for worker, _ in self._busy.values())
        while waiting and self._ready:
            worker = min(self._ready, key=load.__getitem__)
            if load[worker] == IN_FLIGHT:
                return
            index = waiting.popleft()
            self._busy[worker.do.remote(index)] = worker, index
            load[worker] += 1

    def _next(self) -> Any:
        """The next reference that is there."""
        references = [*self._busy, *self._starting]
        timeout = None if self._busy else START_S
        done, _ = self._ray.wait(references, num_returns=1, timeout=timeout)
        if not done:
            raise DataError(
                f"no Ray worker started within {START_S} s: the cluster lacks what it takes."
                " `ray status` shows what is free; give fewer --workers."
            )
        return done[0]

    def _add_ready(self, reference: Any) -> None:
        worker = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            reason = str(error).strip().splitlines()[-1]
            raise DataError(
                f"a Ray worker did not start ({reason}). Every machine must have this version of"
                " cerberus-bench, and the slide at the same path."
            ) from error
        self._ready.append(worker)

    def _files(self, reference: Any) -> ShardFiles | None:
        """Files of a shard; None where its worker was lost."""
        errors = self._ray.exceptions
        try:
            files: ShardFiles = self._ray.get(reference)
        except (errors.RayActorError, errors.ObjectLostError, errors.WorkerCrashedError):
            return None
        except errors.RayTaskError as error:
            raise error.cause from None
        return files

    def _replace(self, worker: Any) -> None:
        """Take a lost worker off the list; it may have lost several shards at once."""
        if worker in self._ready:
            self._ready.remove(worker)
            self._starting.update([self._factory.start()])


@contextmanager
def connected(workers: int | None) -> Iterator[Any]:
    """Ray: as it is where it runs in this process, else joined or started, and left again."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise DataError(
            "Ray is not installed. Run pip install 'cerberus-bench[ray]', or leave --engine ray"
            " away."
        ) from None
    if ray.is_initialized():
        yield ray
        return
    own: dict[str, Any] = {
        "num_cpus": max(usable_cores(), workers or 1),
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",  # whoever reaches its ports may run code
    }
    joins = "RAY_ADDRESS" in os.environ
    ray.init(**({} if joins else own), log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ray
    finally:
        ray.shutdown()
