"""The phantom as a dataset: which scene is in which split, and scenes as records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.archive import SourceTree
from cerberus_bench.loaders.phantom.randomness import VERSION
from cerberus_bench.loaders.phantom.scene import (
    MUCOSA_PER_SLIDE,
    PATCHES_PER_SLIDE,
    SIGNET_PER_SLIDE,
    Scene,
    mucosa_scene,
    signet_ring_scene,
    tissue_patch,
)
from cerberus_bench.loaders.phantom.slide import VARIANTS
from cerberus_bench.loaders.phantom.units import MPP, Labels
from cerberus_bench.loaders.reader import Listing, SourceImage, SourceRecord, native_record
from cerberus_bench.schema.dataset import DatasetSpec, Evidence, Licence, Redistribution
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import LabelMap
from cerberus_bench.schema.record import Coverage, Instances, Record

NAME = "phantom"
SPLITS = ("train", "validation", "test")

SPEC = DatasetSpec(
    name=NAME,
    version=f"{VERSION}.0.0",
    title="Synthetic H&E colon tissue with exact ground truth for every task",
    tasks=("nuclei", "gland", "lumen", "tissue", "signet_ring"),
    label_maps={
        "nuclei": LabelMap(
            "nuclei",
            {
                1: "neutrophil",
                2: "epithelial",
                3: "lymphocyte",
                4: "plasma",
                5: "eosinophil",
                6: "connective",
            },
        ),
        "gland": LabelMap("gland", {1: "benign", 2: "malignant", 3: "surface_epithelium"}),
        "lumen": LabelMap("lumen", {1: "lumen"}),
        "tissue": LabelMap(
            "tissue",
            {
                0: "background",
                1: "abnormal_epithelium",
                2: "normal_epithelium",
                3: "inflammatory_tissue",
                4: "muscle_tissue",
                5: "stroma",
                6: "debris",
                7: "mucus",
                8: "adipose",
            },
        ),
        "signet_ring": LabelMap("signet_ring", {1: "signet_ring_cell"}),
    },
    mpp=MPP,
    organ="colon",
    licence=Licence(
        "Apache-2.0", Redistribution.YES, "made by this package, which has the same licence"
    ),
    citation=("cerberus-bench, synthetic tissue generator (loaders/phantom)",),
    home="",
    how_to_get="Nothing to obtain: this package makes it, without a network.",
    group_level="slide",
    evidence=Evidence.REAL_BYTES,
    expected_images={"train": 866, "validation": 178, "test": 288},
    expected_objects={"nuclei": 287092, "gland": 4046, "lumen": 3097, "signet_ring": 1750},
    notes=(
        "Synthetic: a procedural drawing of H&E-stained colon tissue, not a picture of any patient."
        " Its results stand on a board of their own and say nothing of performance on real tissue.",
        "240 + 48 + 96 mucosa scenes of 512 px (nuclei, gland, lumen, and no signet ring cell),"
        " 594 + 126 + 180 tissue patches of 224 px (tissue class alone), 32 + 4 + 12 signet ring"
        " scenes of 512 px (boxes and nuclei; they hold no gland).",
        "Nuclei of which less than 35 % or fewer than 14 px are visible stay painted but carry no"
        " label, as do the nuclei and glands of tissue patches, red cells, naked vacuoles and"
        " nuclear dust.",
        "One tissue patch in five shows two tissues; its class is that of the one that covers at"
        " least 60 %.",
        "Ground truth is drawn before blur, noise and compression.",
        "Beyond the surface epithelium lies the lumen of the gut: background, no lumen instance.",
        "The train split shows surface epithelium (36 % of scenes against 22 %) and neutrophils,"
        " plasma cells and eosinophils more often than validation and test.",
        "The nuclei of signet ring cells are labelled epithelial.",
    ),
    synthetic=True,
)


class _Kind(StrEnum):
    MUCOSA = "mucosa"
    PATCH = "patch"
    SIGNET_RING = "signet"


@dataclass(frozen=True, slots=True)
class _Part:
    """One kind of image: how many lie on a slide, and how many slides each split takes."""

    per_slide: int
    slides: tuple[int, int, int]
    """Of train, validation and test, in this order of numbers."""

    def indices(self, split: str) -> range:
        """Indices of the images of a split; whole slides, so that none is in two splits."""
        place = SPLITS.index(split)
        start = sum(self.slides[:place])
        return range(start * self.per_slide, (start + self.slides[place]) * self.per_slide)


_PARTS = {
    _Kind.MUCOSA: _Part(MUCOSA_PER_SLIDE, (30, 6, 12)),
    _Kind.PATCH: _Part(PATCHES_PER_SLIDE, (33, 7, 10)),
    _Kind.SIGNET_RING: _Part(SIGNET_PER_SLIDE, (8, 1, 3)),
}


class PhantomReader:
    """Makes the records of the phantom; there is nothing on disk to read.

    Each record is made alone, so one split costs nothing of the others.
    """

    def __init__(self, variant: str = "default", seed: int = 0) -> None:
        if variant not in VARIANTS:
            raise DataError(f"phantom variant {variant!r} is unknown; choose one of {VARIANTS}")
        self.variant = variant
        self.seed = seed
        self.spec = SPEC if variant == "default" else replace(SPEC, name=f"{NAME}@{variant}")

    def find(self, tree: SourceTree | None = None) -> Listing:
        """List the images of all splits, each with its role; `tree` is not looked at."""
        return Listing(images=tuple(image for split in SPLITS for image in self.images(split)))

    def images(self, split: str) -> tuple[SourceImage, ...]:
        """The images of one split, not yet made.

        Raises:
            DataError: the phantom has no such split.
        """
        if split not in SPLITS:
            raise DataError(f"phantom has no split {split!r}; choose one of {', '.join(SPLITS)}")
        return tuple(
            _source_image(kind, index, split)
            for kind, part in _PARTS.items()
            for index in part.indices(split)
        )

    def read(self, tree: SourceTree | None, image: SourceImage) -> SourceRecord:
        """Make one listed image; `tree` is not looked at."""
        kind = _Kind(image.attributes["kind"])
        record = _RECORD_MAKERS[kind](self, image)
        counts = {task: len(found.ids) for task, found in record.instances.items()}
        if record.signet_ring is not None:
            counts["signet_ring"] = len(record.signet_ring)
        return SourceRecord(record=record, n_objects=counts)

    def records(self, split: str) -> Iterator[Record]:
        """Make the records of one split, one at a time, with `split` set.

        Raises:
            DataError: the phantom has no such split.
        """
        for image in self.images(split):
            yield replace(self.read(None, image).record, split=split)


def _source_image(kind: _Kind, index: int, split: str) -> SourceImage:
    record = f"{kind}-{index:04d}"
    slide = index // _PARTS[kind].per_slide
    return SourceImage(
        record=record,
        group=f"{NAME}/{kind}-slide-{slide:03d}",
        group_level=SPEC.group_level,
        origins=(f"{NAME}/{record}",),
        role=split,
        attributes={"kind": str(kind), "index": str(index), "synthetic": "true"},
    )


def _mucosa_record(reader: PhantomReader, image: SourceImage) -> Record:
    scene = mucosa_scene(
        int(image.attributes["index"]),
        seed=reader.seed,
        training=image.role == "train",
        variant=reader.variant,
    )
    return _record(
        reader,
        image,
        scene,
        coverage=dict.fromkeys(("nuclei", "gland", "lumen", "signet_ring"), Coverage.FULL),
        instances={
            "nuclei": _instances(scene.nuclei, scene.nuclei_classes),
            "gland": _instances(scene.gland, scene.gland_classes),
            "lumen": _lumina(scene.lumen),
        },
        signet_ring=scene.signet_ring,
    )


def _patch_record(reader: PhantomReader, image: SourceImage) -> Record:
    index = int(image.attributes["index"])
    scene = tissue_patch(index, seed=reader.seed, variant=reader.variant)
    return _record(reader, image, scene, coverage={"tissue": Coverage.FULL}, tissue=scene.tissue)


def _signet_record(reader: PhantomReader, image: SourceImage) -> Record:
    index = int(image.attributes["index"])
    scene = signet_ring_scene(index, seed=reader.seed, variant=reader.variant)
    return _record(
        reader,
        image,
        scene,
        coverage=dict.fromkeys(("nuclei", "signet_ring"), Coverage.FULL),
        instances={"nuclei": _instances(scene.nuclei, scene.nuclei_classes)},
        signet_ring=scene.signet_ring,
    )


_RECORD_MAKERS: dict[_Kind, Callable[[PhantomReader, SourceImage], Record]] = {
    _Kind.MUCOSA: _mucosa_record,
    _Kind.PATCH: _patch_record,
    _Kind.SIGNET_RING: _signet_record,
}


def _record(reader: PhantomReader, image: SourceImage, scene: Scene, **found: object) -> Record:
    attributes = {**image.attributes, "scene": scene.kind, "variant": reader.variant}
    return native_record(reader.spec, image, image=scene.image, attributes=attributes, **found)


def _instances(labels: Labels, classes: NDArray[np.int64]) -> Instances:
    return Instances(labels, np.arange(1, len(classes) + 1, dtype=np.int64), classes)


def _lumina(labels: Labels) -> Instances:
    return _instances(labels, np.ones(int(labels.max(initial=0)), np.int64))


READER = PhantomReader()
VARIANT_READERS = {
    reader.spec.name: reader
    for reader in map(PhantomReader, VARIANTS)
    if reader.variant != "default"
}
"""The same tissue under another stain or out of focus; groups are shared with the default."""
