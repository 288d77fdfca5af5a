"""Synthetic objects of a slide: ellipses at random places, as tables of shards would hold them."""

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cerberus_bench.model_zoo.instances import InstanceTable, instance_table, pixel_outlines
from cerberus_bench.schema.tasks import GLAND, LUMEN, NUCLEI, TISSUE
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.objects import OBJECTS, object_table

SPACES = {task.name: task.labels for task in (NUCLEI, GLAND, LUMEN, TISSUE)}


def facts(
    width: int = 5200, height: int = 4000, name: str = "toy", mpp: float = 0.25
) -> SlideFacts:
    return SlideFacts(
        name=name,
        width=width,
        height=height,
        mpp_x=mpp,
        mpp_y=mpp,
        model="cerberus-tiny",
        model_sha256=None,
        model_mpp=0.5,
        label_spaces=SPACES,
    )


def ellipses(
    task: str, n: int, *, size: tuple[int, int], radius: tuple[int, int], seed: int = 0
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Label map and class map of (H, W) `size` with up to n ellipses; later ones lie on top."""
    random = np.random.default_rng(seed)
    labels = np.zeros(size, np.int32)
    classes = np.zeros(size, np.int32)
    for i in range(1, n + 1):
        centre = tuple(int(random.integers(0, side)) for side in size[::-1])
        axes = tuple(int(v) for v in random.integers(*radius, 2))
        turn = float(random.uniform(0, 180))
        index = int(random.integers(1, len(SPACES[task].classes) + 1))
        for canvas, value in ((labels, i), (classes, index)):
            cv2.ellipse(canvas, centre, axes, turn, 0, 360, value, -1)
    return labels, classes


def as_table(
    task: str,
    found: InstanceTable,
    labels: NDArray[np.int32],
    origin_xy: tuple[float, float] = (0, 0),
    factor: float = 2.0,
) -> pa.Table:
    """Objects of a label map whose pixels are 0.5 um."""
    areas = np.bincount(labels.ravel(), minlength=1)[found.id] * 0.25
    return object_table(
        SPACES[task],
        found.type,
        found.type_prob,
        areas,
        found.centroid,
        pixel_outlines(labels, found.starts_xy),
        origin_xy=origin_xy,
        factor=factor,
    )


def toy_objects(seed: int = 0) -> pa.Table:
    """Some 1,100 nuclei, 12 glands and 9 lumina on a slide of 5200 x 4000 level-0 px."""
    size = (2000, 2600)
    kinds = (("nuclei", 1200, (3, 9)), ("gland", 14, (60, 180)), ("lumen", 10, (20, 60)))
    tables = [OBJECTS.empty_table()]
    for task, n, radius in kinds:
        labels, classes = ellipses(task, n, size=size, radius=radius, seed=seed)
        tables.append(as_table(task, instance_table(labels, classes), labels).unify_dictionaries())
    return pa.concat_tables(tables).unify_dictionaries()


def shards(table: pa.Table, side: int, seed: int = 0) -> list[pa.Table]:
    """The objects shared out by squares of `side` px that hold their centroids, shuffled."""
    column, row = (table[axis].to_numpy() // side for axis in "xy")
    owner = np.unique(np.stack([row, column]), axis=1, return_inverse=True)[1].ravel()
    parts = [table.filter(pa.array(owner == i)) for i in range(owner.max() + 1)]
    order = np.random.default_rng(seed).permutation(len(parts))
    return [parts[i].take(np.random.default_rng(i).permutation(len(parts[i]))) for i in order]
