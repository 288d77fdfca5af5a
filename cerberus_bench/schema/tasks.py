"""The five tasks of the suite and the label spaces of the published network."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cerberus_bench.schema.labels import LabelSpace

TARGET_MPP = 0.5
"""Microns per pixel to which every source is harmonised unless told otherwise."""


class Kind(StrEnum):
    """What the truth of a task is made of."""

    INSTANCES = "instances"
    TILE_CLASS = "tile class"
    BOXES = "boxes"


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task: what it is called, what its truth looks like, and the network's classes for it."""

    name: str
    kind: Kind
    labels: LabelSpace
    """Classes of the published network (Cerberus, arXiv 2203.00077, section 3), in its order."""
    description: str


NUCLEI = TaskSpec(
    "nuclei",
    Kind.INSTANCES,
    LabelSpace(
        "nuclei", ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
    ),
    "nuclear instances and their class",
)
GLAND = TaskSpec(
    "gland",
    Kind.INSTANCES,
    LabelSpace("gland", ("gland", "surface_epithelium")),
    "gland instances and their class",
)
LUMEN = TaskSpec("lumen", Kind.INSTANCES, LabelSpace("lumen", ("lumen",)), "lumen instances")
TISSUE = TaskSpec(
    "tissue",
    Kind.TILE_CLASS,
    LabelSpace(
        "tissue",
        (
            "background",
            "abnormal_epithelium",
            "normal_epithelium",
            "inflammatory_tissue",
            "muscle_tissue",
            "stroma",
            "debris",
            "mucus",
            "adipose",
        ),
    ),
    "tissue class of a patch",
)
SIGNET_RING = TaskSpec(
    "signet_ring",
    Kind.BOXES,
    LabelSpace("signet_ring", ("signet_ring_cell",)),
    "boxes of signet ring cells",
)

TASKS: Mapping[str, TaskSpec] = {
    task.name: task for task in (NUCLEI, GLAND, LUMEN, TISSUE, SIGNET_RING)
}
INSTANCE_TASKS = tuple(name for name, task in TASKS.items() if task.kind is Kind.INSTANCES)
