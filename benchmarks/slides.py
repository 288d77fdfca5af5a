"""Whole slides: what predicting one costs, and how joining shards compares with one large map.

`python -m benchmarks.slides OUT --side 30000` predicts a synthetic slide of any size and prints
the same figures; killed and run again, it goes on where it was.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic_slide import MPP, write_slide
from benchmarks.timing import Row, once_ms
from cerberus_bench.model_zoo.instances import (
    gland_instances,
    instance_table,
    lumen_instances,
    lumina_inside_glands,
    pixel_outlines,
)
from cerberus_bench.slides.grid import Box
from cerberus_bench.slides.regions import RegionMaps, half_means, write_regions
from cerberus_bench.slides.seams import Region, find_regions
from cerberus_bench.workflows.models import find_model
from cerberus_bench.workflows.predict_slides import SlideOptions, predict_slide

SIDE_PX = 6000
TISSUE_SHARE = 0.17
BOUNDS = "bounds: 1.5 px read a px, 60 bytes a nucleus, 6 GiB + 2 GiB a worker"
MAP_PX = 4096
"""Side of the map that is cut into shards, work px."""
SHARD_PX = 1024
TASKS = ("gland", "lumen")

Maps = dict[str, NDArray[np.float32]]


def rows() -> Iterator[Row]:
    yield joining()
    with tempfile.TemporaryDirectory() as folder:
        yield predicting(Path(folder), SIDE_PX, TISSUE_SHARE)


def predicting(out: Path, side: int, tissue_share: float, mode: str = "exact") -> Row:
    """Predict a synthetic slide with cerberus-tiny; shards that are there are not done again."""
    path = out / f"synthetic{side}.tif"
    if not path.exists():
        write_slide(path, side, tissue_share)
    model = find_model("cerberus-tiny", mode=mode)
    ms, report = once_ms(lambda: predict_slide(path, model, out, SlideOptions(workers=1)))
    return Row(
        what=f"predict {side:,} x {side:,} px with cerberus-tiny, {mode}",
        ours_ms=ms,
        baseline=BOUNDS,
        baseline_ms=None,
        equal=", ".join(figures(report)),
    )


def figures(report: dict[str, Any]) -> Iterator[str]:
    """What a run took, in words."""
    objects = Path(report["out"]) / "objects.parquet"
    yield f"{report['tissue_mm2']:.1f} mm2 of tissue"
    yield f"{report['tissue_mm2'] / MPP**2 / report['seconds']:.2f} Mpx of tissue a second"
    yield f"{report['px_read_per_px']:.2f} px read a px"
    yield f"{objects.stat().st_size / report['objects']['nuclei']:.0f} bytes a nucleus"
    yield f"{report['peak_memory_gib']:.1f} GiB at most"
    yield from (f"{n:,} {task}" for task, n in report["objects"].items())


def joining() -> Row:
    """Glands and lumina joined over 16 shards, and cut out of one map."""
    maps = {f"{task}.instance": _blobs(MAP_PX, seed) for seed, task in enumerate(TASKS)}
    with tempfile.TemporaryDirectory() as folder:
        files = list(_shards(maps, Path(folder)))
        shape = (MAP_PX // 2, MAP_PX // 2)
        ours_ms, found = once_ms(lambda: list(find_regions(files, TASKS, shape)))
    whole_ms, expected = once_ms(lambda: _whole(maps))
    return Row(
        what=f"glands and lumina of {len(files)} shards joined, {len(found):,} objects",
        ours_ms=ours_ms,
        baseline="one map of the whole slide in memory",
        baseline_ms=whole_ms,
        equal="equal" if _outlines(found) == expected else "DIFFERENT",
    )


def _whole(maps: Maps) -> list[tuple[str, int, bytes]]:
    half = {name: half_means(values)[..., 1:] for name, values in maps.items()}
    glands = gland_instances(half["gland.instance"], scale=0.5)
    lumina = lumina_inside_glands(lumen_instances(half["lumen.instance"], scale=0.5), glands)
    found = []
    for task, labels in zip(TASKS, (glands, lumina), strict=True):
        table = instance_table(labels)
        outlines = pixel_outlines(labels, table.starts_xy)
        columns = zip(table.id.tolist(), outlines, strict=True)
        found += [(task, i, xy.tobytes()) for i, xy in columns]
    return sorted(found)


def _outlines(found: list[tuple[str, Region]]) -> list[tuple[str, int, bytes]]:
    return sorted((task, region.id, region.outline.tobytes()) for task, region in found)


def _blobs(side: int, seed: int) -> NDArray[np.float32]:
    """Background, inner and contour probabilities with blobs of some 100 px, (side, side, 3)."""
    noise = np.random.default_rng(seed).standard_normal((side // 32, side // 32, 3))
    logits = cv2.resize(noise.astype(np.float32) * 4, (side, side), interpolation=cv2.INTER_CUBIC)
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(axis=2, keepdims=True), np.float32)


def _shards(maps: Maps, folder: Path) -> Iterator[Path]:
    for y in range(0, MAP_PX, SHARD_PX):
        for x in range(0, MAP_PX, SHARD_PX):
            core = Box(y, x, y + SHARD_PX, x + SHARD_PX)
            kept = RegionMaps(core, tuple(maps))
            kept.put(
                core, {name: values[y : core.y1, x : core.x1] for name, values in maps.items()}
            )
            path = folder / f"{y:05}_{x:05}.parquet"
            write_regions(kept.table(), path)
            yield path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slides", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--side", type=int, default=30_000, help="px at 0.5 mpp")
    parser.add_argument("--tissue", type=float, default=TISSUE_SHARE, help="share of the area")
    parser.add_argument("--mode", default="exact", choices=["exact", "fast"])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    row = predicting(given.out, given.side, given.tissue, given.mode)
    print(f"{row.what}: {row.ours_ms / 1000:,.0f} s, {row.equal}")


if __name__ == "__main__":
    main()
