"""Smooth random probability maps for tests of glands and lumina, and shards cut from them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cerberus_bench.slides.grid import Box
from cerberus_bench.slides.regions import RegionMaps, write_regions

Maps = dict[str, NDArray[np.float32]]


def random_maps(seed: int, shape: tuple[int, int]) -> Maps:
    """Outputs of a network on a grid of work px: large glands, small lumina, classes in patches."""
    rng = np.random.default_rng(seed)
    return {
        "gland.instance": softmax_noise(rng, shape, 3, sigma=12),
        "gland.type": softmax_noise(rng, shape, 3, sigma=9),
        "lumen.instance": softmax_noise(rng, shape, 3, sigma=6),
    }


def softmax_noise(
    rng: np.random.Generator, shape: tuple[int, int], channels: int, sigma: float
) -> NDArray[np.float32]:
    noise = rng.standard_normal((channels, *shape))
    logits = ndimage.gaussian_filter(noise, (0, sigma, sigma)) * 5 * sigma
    prob = np.exp(logits) / np.exp(logits).sum(axis=0)
    return np.moveaxis(prob, 0, 2).astype(np.float32)


def boxes(area: Box, side: int, origin: int = 0) -> Iterator[Box]:
    """Boxes of a lattice that cover an area; the outermost reach beyond it."""
    for y in range(area.y0 - (area.y0 - origin) % side, area.y1, side):
        for x in range(area.x0 - (area.x0 - origin) % side, area.x1, side):
            yield Box(y, x, y + side, x + side)


def window(maps: Maps, kept: Box) -> Maps:
    """What a network gives for a window; beyond the map it is certain of an object."""
    height, width = next(iter(maps.values())).shape[:2]
    inside = kept.meet(Box(0, 0, height, width))
    found = {}
    for name, values in maps.items():
        found[name] = np.zeros((kept.height, kept.width, values.shape[2]), np.float32)
        found[name][..., 1] = 1
        found[name][inside.within(kept)] = values[inside.y0 : inside.y1, inside.x0 : inside.x1]
    return found


def shard_maps(maps: Maps, core: Box, kept_px: int, origin: int = -4) -> RegionMaps:
    collected = RegionMaps(core, tuple(maps))
    for kept in boxes(core, kept_px, origin):
        collected.put(kept, window(maps, kept))
    return collected


def write_shards(
    maps: Maps, folder: Path, side: int, left_out: Callable[[int], bool] = lambda _: False
) -> list[Path]:
    """Region files of all shards of a slide but those left out by their number."""
    height, width = next(iter(maps.values())).shape[:2]
    slide = Box(0, 0, height, width)
    files = []
    for number, square in enumerate(boxes(slide, side)):
        if not left_out(number):
            files.append(folder / f"{number:05}.parquet")
            write_regions(shard_maps(maps, square.meet(slide), kept_px=24).table(), files[-1])
    return files
