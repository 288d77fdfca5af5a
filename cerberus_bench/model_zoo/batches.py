"""Mixed batches over several datasets: batch i is a function of (seed, i) and of nothing else.

So a run that was stopped goes on exactly where it was, and threads may prepare batches ahead.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cerberus_bench.model_zoo.augment import View, cut, place_boxes, random_view, turned
from cerberus_bench.model_zoo.boxes import BOX, box_target
from cerberus_bench.model_zoo.recipe import Recipe
from cerberus_bench.model_zoo.samples import PATCH, Entry, Sample, SampleStore
from cerberus_bench.model_zoo.targets import (
    IGNORED,
    KERNEL_SIZES,
    UNKNOWN,
    border_reach,
    border_weights,
    instance_target,
)
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import TrainingBudget
from cerberus_bench.schema.tasks import SIGNET_RING

T = TypeVar("T")

HALO = max(KERNEL_SIZES.values()) // 2
"""Pixels around a window that its instance target depends on."""
_PERMUTATION, _WINDOW, _PATCH, _TASKS = range(4)
"""Purposes of random numbers; each has a stream of its own."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows and patches of one step, on the CPU."""

    images: Tensor
    """(N, 3, crop, crop) uint8."""
    targets: Mapping[str, Tensor]
    """Dense output -> (n, crop, crop) uint8 or (n, 8, crop / 4, crop / 4) float32 (boxes), of the n
    windows that have truth for it."""
    weights: Mapping[str, Tensor]
    """Instance output -> (n, crop, crop) float32, of the pixels; empty where all are equal."""
    rows: Mapping[str, tuple[int, ...]]
    """Dense output -> which n of the N windows these are."""
    patches: Tensor
    """(M, 3, side, side) uint8."""
    patch_codes: Tensor
    """(M,) uint8 class codes."""


@dataclass(frozen=True, slots=True)
class Window:
    """A place in a sample."""

    entry: Entry
    view: View


def random_stream(*key: int) -> np.random.Generator:
    """Random numbers that depend on the key alone."""
    return np.random.default_rng(key)


class TrainingPlan:
    """Which windows and patches each step sees.

    A task is drawn by its weight, then a record from the seeded permutation of the task's records,
    in which a record occurs about once a window that it has room for.

    Args:
        entries: samples to draw from.
        recipe: sizes, sampling weights, augmentation.
        seed: the run's seed.

    Raises:
        DataError: the sampling weights leave nothing to draw.
    """

    def __init__(self, entries: Sequence[Entry], recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.seed = seed
        crop = recipe.batches.crop
        self._pools: list[list[Entry]] = []
        weights: list[float] = []
        for task, weight in recipe.batches.sampling.items():
            pools = _pools_of(task, entries) if weight > 0 else []
            for pool in pools:
                self._pools.append([e for e in pool for _ in range(_visits(e, crop))])
                weights.append(weight / len(pools))
        self._patches = [e for e in entries if PATCH in e.outputs]
        if not self._pools and not self._patches:
            raise DataError(
                f"the sampling weights of the recipe {recipe.name} draw none of the records; raise"
                " those of the tasks to train"
            )
        self._shares = np.cumsum(weights) / sum(weights) if weights else np.empty(0)

    def budget(self, max_minutes: float | None) -> TrainingBudget:
        """What all steps draw, if the time for them suffices."""
        recipe, steps = self.recipe, self.recipe.schedule.steps
        return TrainingBudget(
            recipe=recipe.name,
            steps=steps,
            windows=steps * recipe.batches.size if self._pools else 0,
            patches=steps * recipe.batches.patches if self._patches else 0,
            max_minutes=max_minutes,
        )

    def windows(self, step: int) -> list[Window]:
        """Windows of a step."""
        size, pools = self.recipe.batches.size, self._pools
        if not pools:
            return []
        start = random_stream(self.seed, _TASKS, step).random()
        # systematic sampling: each batch holds the tasks in their shares, to one window
        drawn = np.searchsorted(self._shares, (start + np.arange(size)) / size, side="right")
        windows = []
        for slot, number in enumerate(drawn.clip(max=len(pools) - 1)):
            entry = self._draw(pools[number], int(number), step * size + slot)
            rng = random_stream(self.seed, _WINDOW, step, slot)
            view = random_view(rng, entry.shape, self.recipe.batches.crop, self.recipe.augmentation)
            windows.append(Window(entry, view))
        return windows

    def patches(self, step: int) -> list[Window]:
        """Tissue patches of a step."""
        if not self._patches:
            return []
        batches, patches = self.recipe.batches, []
        for slot in range(batches.patches):
            entry = self._draw(self._patches, len(self._pools), step * batches.patches + slot)
            rng = random_stream(self.seed, _PATCH, step, slot)
            view = random_view(rng, entry.shape, batches.patch_crop, self.recipe.augmentation)
            patches.append(Window(entry, view))
        return patches

    def _draw(self, pool: Sequence[Entry], number: int, position: int) -> Entry:
        epoch, place = divmod(position, len(pool))
        return pool[int(_permutation(len(pool), self.seed, number, epoch)[place])]


@lru_cache(maxsize=16)
def _permutation(length: int, seed: int, pool: int, epoch: int) -> NDArray[np.int64]:
    return random_stream(seed, _PERMUTATION, pool, epoch).permutation(length)


def _pools_of(task: str, entries: Sequence[Entry]) -> list[list[Entry]]:
    """Samples of a task; for boxes, where most samples may hold none, those with and without.

    The windows of a task come from its pools in equal shares.
    """
    pool = [entry for entry in entries if entry.teaches(task)]
    halves = [[e for e in pool if e.has_boxes is has] for has in (True, False)]
    return [part for part in (halves if task == SIGNET_RING.name else [pool]) if part]


def _visits(entry: Entry, crop: int) -> int:
    height, width = entry.shape
    return max(1, round(height * width / crop**2))


class BatchMaker:
    """Cuts the windows of a batch and makes their targets.

    Args:
        store: the samples.
        recipe: sizes of windows and patches.
    """

    def __init__(self, store: SampleStore, recipe: Recipe) -> None:
        self._store = store
        self._crop = recipe.batches.crop
        self._patch_crop = recipe.batches.patch_crop
        self._border_gain = recipe.losses.border

    def make(self, windows: Sequence[Window], patches: Sequence[Window]) -> Batch:
        """Make the batch of some windows and patches."""
        images: list[NDArray[np.uint8]] = []
        targets: dict[str, list[NDArray[Any]]] = {}
        weights: dict[str, list[NDArray[np.float32]]] = {}
        rows: dict[str, list[int]] = {}
        for row, window in enumerate(windows):
            sample = self._store.get(window.entry)
            images.append(_image(sample, window.view, self._crop))
            for output, target in _targets(sample, window.view, self._crop).items():
                targets.setdefault(output, []).append(target)
                rows.setdefault(output, []).append(row)
            if self._border_gain:
                found = _weights(sample, window.view, self._crop, self._border_gain)
                for output, of_pixels in found.items():
                    weights.setdefault(output, []).append(of_pixels)
        patch_samples = [self._store.get(p.entry) for p in patches]
        patch_images = [
            _image(sample, p.view, self._patch_crop)
            for sample, p in zip(patch_samples, patches, strict=True)
        ]
        return Batch(
            images=_stack_images(images, self._crop),
            targets=_stacked(targets),
            weights=_stacked(weights),
            rows={name: tuple(numbers) for name, numbers in rows.items()},
            patches=_stack_images(patch_images, self._patch_crop),
            patch_codes=torch.tensor([s.patch_code for s in patch_samples], dtype=torch.uint8),
        )


def _stacked(maps: Mapping[str, Sequence[NDArray[Any]]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.stack(found)) for name, found in maps.items()}


def _stack_images(images: Sequence[NDArray[np.uint8]], side: int) -> Tensor:
    if not images:
        return torch.empty((0, 3, side, side), dtype=torch.uint8)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _image(sample: Sample, view: View, side: int) -> NDArray[np.uint8]:
    window = cut(sample.image, view, side, smooth=True, border=cv2.BORDER_REFLECT_101)
    return turned(window, view.turn)


def _targets(sample: Sample, view: View, side: int) -> dict[str, NDArray[Any]]:
    known = _known(sample, view, side)
    targets: dict[str, NDArray[Any]] = {}
    for task, labels in sample.labels.items():
        wide = cut(labels, view, side + 2 * HALO, smooth=False, border=cv2.BORDER_REPLICATE)
        target = instance_target(wide, KERNEL_SIZES[task])[HALO:-HALO, HALO:-HALO]
        taught = known & (target > 0) if task in sample.open_tasks else known
        targets[f"{task}.instance"] = np.where(taught, target, np.uint8(IGNORED))
        if task in sample.codes:
            codes = sample.codes[task][wide[HALO:-HALO, HALO:-HALO]]
            targets[f"{task}.type"] = np.where(known, codes, np.uint8(UNKNOWN))
    targets = {output: turned(target, view.turn) for output, target in targets.items()}
    if sample.boxes is not None:
        targets[BOX] = box_target(
            place_boxes(sample.boxes, view, side),
            turned(known, view.turn),
            is_open=SIGNET_RING.name in sample.open_tasks,
        )
    return targets


def _weights(sample: Sample, view: View, side: int, gain: float) -> dict[str, NDArray[np.float32]]:
    """Instance output -> weights of the window's pixels; see `border_weights`."""
    weights = {}
    for task, labels in sample.labels.items():
        sigma = KERNEL_SIZES[task]
        reach = border_reach(sigma)
        wide = cut(labels, view, side + 2 * reach, smooth=False, border=cv2.BORDER_REPLICATE)
        whole = border_weights(wide, sigma, gain)
        weights[f"{task}.instance"] = turned(whole[reach:-reach, reach:-reach], view.turn)
    return weights


def _known(sample: Sample, view: View, side: int) -> NDArray[np.bool_]:
    """Where the window lies in the record, and the record's annotations count."""
    valid = np.ones(sample.image.shape[:2], np.uint8) if sample.valid is None else sample.valid
    window: NDArray[np.uint8] = cut(valid, view, side, smooth=False, border=cv2.BORDER_CONSTANT)
    return window > 0


@dataclass(frozen=True)
class ValidationPlan:
    """The windows and patches that every validation looks at, without random changes."""

    entries: Sequence[Entry]
    recipe: Recipe

    @cached_property
    def windows(self) -> list[Window]:
        """Windows that tile the records, at most `validation_windows` a task, evenly thinned."""
        crop, limit = self.recipe.batches.crop, self.recipe.schedule.validation_windows
        chosen: dict[Window, None] = {}
        for task in (*KERNEL_SIZES, SIGNET_RING.name):
            pools = _pools_of(task, self.entries)
            for pool in pools:
                tiles = [Window(e, view) for e in pool for view in tile_views(e.shape, crop)]
                chosen.update(dict.fromkeys(thinned(tiles, max(1, limit // len(pools)))))
        return list(chosen)

    @cached_property
    def patches(self) -> list[Window]:
        """Centres of patches, evenly thinned to `validation_windows`."""
        patches = [
            Window(e, View(e.shape[1] / 2, e.shape[0] / 2))
            for e in self.entries
            if PATCH in e.outputs
        ]
        return thinned(patches, self.recipe.schedule.validation_windows)

    def batches(self, maker: BatchMaker) -> Iterator[Batch]:
        """All of it, in batches of the recipe's sizes."""
        size = self.recipe.batches.size
        for start in range(0, len(self.windows), size):
            yield maker.make(self.windows[start : start + size], [])
        size = 4 * self.recipe.batches.patches
        for start in range(0, len(self.patches), size):
            yield maker.make([], self.patches[start : start + size])


def tile_views(shape: tuple[int, int], side: int) -> list[View]:
    """Evenly spaced windows that cover a record."""
    rows, columns = (
        np.linspace(side / 2, max(side / 2, length - side / 2), max(1, -(-length // side))).round()
        for length in shape
    )
    return [View(float(x), float(y)) for y in rows for x in columns]


def thinned(windows: list[Window], limit: int) -> list[Window]:
    """At most `limit` of the windows, evenly spaced among them."""
    if len(windows) <= limit:
        return windows
    return [windows[i] for i in np.linspace(0, len(windows) - 1, limit).round().astype(int)]


def prefetched(make: Callable[[int], T], start: int, ahead: int = 3) -> Generator[T, None, None]:
    """Batches start, start + 1, ... without end, some made ahead by threads."""
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="batches")
    try:
        waiting: deque[Future[T]] = deque(pool.submit(make, start + i) for i in range(ahead))
        for step in range(start + ahead, 2**62):
            yield waiting.popleft().result()
            waiting.append(pool.submit(make, step))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
