"""How fast probability maps become objects: ours against the procedure that the rules suggest.

The maps are those of the golden file repeated 8 x 8. The procedure is what the published code does,
written anew from its rules: scipy and scikit-image make the label map, and every object is then
sought in the whole map. That takes time in proportion to objects times pixels, so for nuclei the
label map is made in full, the table of only `N_LISTED` of the objects, spread evenly over the map;
its time is multiplied, and the row says by how much. Glands and lumina run in full.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from benchmarks.timing import Row, median_ms, once_ms
from cerberus_bench.model_zoo import instances, instances_plain, kernel
from cerberus_bench.model_zoo.instances import MIN_CONTOUR_POINTS, InstanceTable
from cerberus_bench.model_zoo.region_rules import (
    GLAND_RULES,
    LUMEN_RULES,
    RegionRules,
    growing_box,
)

GOLDEN = Path(__file__).parent.parent / "tests" / "golden" / "postprocessing.npz"
REPEATED = 8
N_LISTED = 100
"""Nuclei whose table the slow procedure makes."""
SCALE = 0.5

Prob = NDArray[np.float32]
Labels = NDArray[np.int32]
Types = NDArray[np.uint8] | None


Found = tuple[Labels, InstanceTable]


class Slow(NamedTuple):
    """What the slow procedure gave, and in what time."""

    labels: Labels
    n_objects: int
    table: list[dict[str, Any]]
    ms: float
    said: str
    """What was measured and what was multiplied."""


def rows() -> Iterator[Row]:
    with np.load(GOLDEN) as file:
        maps = {
            task: np.tile(file[f"{task}_prob"] / np.float32(255), (REPEATED, REPEATED, 1))
            for task in ("nuclei", "gland", "lumen")
        }
        types = np.tile(file["nuclei_type"], (REPEATED, REPEATED))
    yield from _compare("nuclei", maps["nuclei"], types, slow_nuclei(maps["nuclei"], types))
    for task, rules in (("gland", GLAND_RULES), ("lumen", LUMEN_RULES)):
        yield from _compare(task, maps[task], None, slow_regions(maps[task], rules))


# --- ours ----------------------------------------------------------------------------------------


def _compare(task: str, prob: Prob, types: Types, slow: Slow) -> Iterator[Row]:
    height, width = slow.labels.shape
    what = f"{task}, {height} x {width}, {slow.n_objects:,} objects, map and table"

    def row(how: str, ms: float, found: Found) -> Row:
        return Row(f"{what}, {how}", ms, slow.said, slow.ms, str(_same(*found, slow)))

    if kernel.USED:
        for threads in sorted({1, _cores()}):
            run = partial(_ours, task, prob, types, threads)
            how = "one thread" if threads == 1 else f"{threads} threads"
            yield row(how, median_ms(run)[0], run())
    with patch.object(instances, "_WAY", instances_plain):
        ms, found = once_ms(lambda: _ours(task, prob, types, 1))
    yield row("without the kernel, one run", ms, found)


def _ours(task: str, prob: Prob, types: Types, threads: int) -> Found:
    if task == "nuclei":
        labels = instances.nuclei_instances(prob, threads=threads)
    elif task == "gland":
        labels = instances.gland_instances(prob, SCALE)
    else:
        labels = instances.lumen_instances(prob, SCALE)
    return labels, instances.instance_table(labels, types, threads=threads)


def _cores() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def _same(labels: Labels, table: InstanceTable, slow: Slow) -> bool:
    """Whether the partitions are one, and the rows that the slow procedure made are ours."""
    pairs = np.unique(labels.astype(np.int64) << 32 | slow.labels)
    ours, theirs = pairs >> 32, pairs & (2**32 - 1)
    if len(set(ours.tolist())) != len(pairs) or len(set(theirs.tolist())) != len(pairs):
        return False
    our_id = dict(zip(theirs.tolist(), ours.tolist(), strict=True))
    place = {int(i): k for k, i in enumerate(table.id)}
    return all(_same_row(table, place[our_id[row["id"]]], row) for row in slow.table)


def _same_row(table: InstanceTable, k: int, row: dict[str, Any]) -> bool:
    return (
        table.box[k].tolist() == row["box"]
        and bool(np.allclose(table.centroid[k], row["centroid"], rtol=0, atol=1e-6))
        and int(table.type[k]) == row["type"]
        and bool(np.isclose(table.type_prob[k], row["type_prob"]))
        and np.array_equal(table.contours[k], row["contour"])
    )


# --- the procedure that the rules suggest --------------------------------------------------------


def slow_nuclei(prob: Prob, types: NDArray[np.uint8]) -> Slow:
    """The label map in full, the table of some nuclei."""
    map_ms, labels = once_ms(lambda: slow_nuclei_map(prob))
    ids = np.unique(labels)[1:]
    listed = ids[np.linspace(0, len(ids) - 1, N_LISTED).astype(int)]
    table_ms, table = once_ms(lambda: slow_table(labels, types, listed))
    times = len(ids) / len(listed)
    said = (
        f"an object at a time: the map in full ({map_ms:,.0f} ms), the table of {len(listed)} of "
        f"{len(ids):,} objects ({table_ms:,.0f} ms) times {times:,.1f}"
    )
    return Slow(labels, len(ids), table, map_ms + table_ms * times, said)


def slow_regions(prob: Prob, rules: RegionRules) -> Slow:
    """Everything in full."""

    def both() -> tuple[Labels, list[dict[str, Any]]]:
        labels = slow_region_map(prob, rules)
        return labels, slow_table(labels, None, np.unique(labels)[1:])

    ms, (labels, table) = once_ms(both)
    n_objects = len(np.unique(labels)) - 1
    return Slow(labels, n_objects, table, ms, "an object at a time, in full")


def slow_nuclei_map(prob: Prob) -> Labels:
    cross = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    mask = cv2.erode((prob.sum(axis=2) > 0.5).astype(np.uint8), cross)
    markers = ndimage.binary_fill_holes(_large(prob[..., 0] > 0.5, 4))
    labels, _ = ndimage.label(markers)
    flooded = watershed(-prob[..., 0], labels, mask=_large(mask > 0, 8))
    return np.asarray(flooded, np.int32)


def slow_region_map(prob: Prob, rules: RegionRules) -> Labels:
    kernel_ = rules.kernel(SCALE)
    foreground = prob[..., 0] - (prob[..., 1] > 0.5) > rules.threshold
    components, n = ndimage.label(_large(foreground, rules.min_area_at(SCALE)))
    grown = np.zeros(components.shape, np.int32)
    for i in range(1, n + 1):
        mask = components == i
        crop = growing_box(_box(mask), kernel_, mask.shape)
        one = cv2.dilate(mask[crop].astype(np.uint8), kernel_)
        grown[crop][ndimage.binary_fill_holes(one)] = i
    return grown


def slow_table(labels: Labels, types: Types, ids: NDArray[np.integer]) -> list[dict[str, Any]]:
    table = []
    for i in ids.tolist():
        mask = labels == i
        box = _box(mask)
        rows, columns = box
        crop = mask[box].astype(np.uint8)
        offset = np.array([columns.start, rows.start])
        moments = cv2.moments(crop, binaryImage=True)
        contours, _ = cv2.findContours(crop, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
        if len(contours[0]) < MIN_CONTOUR_POINTS:
            continue
        centroid = np.array([moments["m10"], moments["m01"]]) / moments["m00"] + offset
        kind, share = _majority(types[box][crop > 0]) if types is not None else (0, 0.0)
        table.append(
            {
                "id": i,
                "box": [rows.start, columns.start, rows.stop, columns.stop],
                "centroid": centroid,
                "contour": contours[0][:, 0] + offset,
                "type": kind,
                "type_prob": share,
            }
        )
    return table


def _majority(types: NDArray[np.uint8]) -> tuple[int, float]:
    """Most frequent class, the second most frequent where that is background, and its share."""
    kinds, counts = np.unique(types, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    best = order[1] if kinds[order[0]] == 0 and len(order) > 1 else order[0]
    return int(kinds[best]), float(counts[best] / (len(types) + 1e-6))


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    ys, xs = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(int(ys[0]), int(ys[-1]) + 1), slice(int(xs[0]), int(xs[-1]) + 1)


def _large(mask: NDArray[np.bool_], min_area: int) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(mask)
    large = np.bincount(labels.ravel()) >= min_area
    large[0] = False
    return np.asarray(large[labels], np.bool_)
