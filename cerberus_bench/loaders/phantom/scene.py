"""The three kinds of phantom image, from an index to pixels and ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.cells import LOBED
from cerberus_bench.loaders.phantom.glandmap import GlandLayer
from cerberus_bench.loaders.phantom.layer import Section, Streams, Textures
from cerberus_bench.loaders.phantom.mixing import MIXED_SHARE, build_mixed
from cerberus_bench.loaders.phantom.mucosa import build_mucosa, draw_kind
from cerberus_bench.loaders.phantom.optics import photograph
from cerberus_bench.loaders.phantom.paint import paint
from cerberus_bench.loaders.phantom.randomness import Family
from cerberus_bench.loaders.phantom.signet import Box, build_signet_rings
from cerberus_bench.loaders.phantom.slide import draw_slide
from cerberus_bench.loaders.phantom.tissue import Tissue, build_tissue
from cerberus_bench.loaders.phantom.truth import tidy_nuclei
from cerberus_bench.loaders.phantom.units import Labels
from cerberus_bench.schema.errors import DataError

MUCOSA_PER_SLIDE = 8
PATCHES_PER_SLIDE = 18
"""Two of each of the nine classes."""
SIGNET_PER_SLIDE = 4

SCENE_SIZE = 512
PATCH_SIZE = 224
_SIZE_STEP = 16


@dataclass(frozen=True, slots=True)
class Scene:
    """One synthetic image at 0.5 um/px with exact ground truth."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    nuclei: Labels
    """(H, W) ids 1 .. n without gaps."""
    nuclei_classes: NDArray[np.int64]
    """(n,) in the order of Lizard: 1 neutrophil, 2 epithelial, 3 lymphocyte, 4 plasma,
    5 eosinophil, 6 connective."""
    gland: Labels
    gland_classes: NDArray[np.int64]
    """(n,) 1 benign, 2 malignant, 3 surface epithelium."""
    lumen: Labels
    signet_ring: NDArray[np.float32]
    """(n, 4) boxes x0, y0, x1, y1 in px."""
    tissue: int | None
    """Patch class 0 .. 8 in the order of Cerberus; None for scenes."""
    slide: int
    """Number of the synthetic slide within its kind of image: the group."""
    kind: str


def mucosa_scene(
    index: int,
    *,
    seed: int = 0,
    size: int = SCENE_SIZE,
    training: bool = False,
    variant: str = "default",
) -> Scene:
    """Mucosa with glands, lumina and nuclei.

    Args:
        index: number of the scene; eight neighbours share a slide.
        seed: of the whole set.
        size: side in px, divisible by 16.
        training: shows surface epithelium and rare inflammatory cells more often.
        variant: "default", "stain-shift" (a stain pair that no default slide has) or "blur" (out of
            focus); the tissue and the ground truth are the same.

    Raises:
        DataError: for a size, seed, index or variant that the phantom does not have.
    """
    section = _blank(Family.MUCOSA, index, index // MUCOSA_PER_SLIDE, seed, size, variant)
    kind = draw_kind(section)
    glands = build_mucosa(section, kind, training=training)
    return _finish(section, index // MUCOSA_PER_SLIDE, kind, glands=glands)


def tissue_patch(
    index: int, *, seed: int = 0, size: int = PATCH_SIZE, variant: str = "default"
) -> Scene:
    """A patch of one of the nine tissue classes; the class is `index` modulo 9.

    Only the class is ground truth. One patch in five shows a second tissue; the class is that of
    the one that covers at least 60 %, and `kind` names both.

    Args:
        index: number of the patch; eighteen neighbours share a slide.
        seed: of the whole set.
        size: side in px, divisible by 16.
        variant: as for `mucosa_scene`.

    Raises:
        DataError: for a size, seed, index or variant that the phantom does not have.
    """
    number = index // PATCHES_PER_SLIDE
    section = _blank(Family.TISSUE, index, number, seed, size, variant)
    tissue = Tissue(index % len(Tissue))
    kind = tissue.name.lower()
    if section.streams.plan.chance(MIXED_SHARE):
        kind = f"{kind}+{build_mixed(section, tissue).second.name.lower()}"
    else:
        build_tissue(section, tissue)
    return _finish(section, number, kind, tissue=int(tissue))


def signet_ring_scene(
    index: int, *, seed: int = 0, size: int = SCENE_SIZE, variant: str = "default"
) -> Scene:
    """Stroma with signet ring cells, each with its box; their crescent nuclei are epithelial.

    Args:
        index: number of the scene; four neighbours share a slide.
        seed: of the whole set.
        size: side in px, divisible by 16.
        variant: as for `mucosa_scene`.

    Raises:
        DataError: for a size, seed, index or variant that the phantom does not have.
    """
    number = index // SIGNET_PER_SLIDE
    section = _blank(Family.SIGNET_RING, index, number, seed, size, variant)
    boxes = build_signet_rings(section)
    return _finish(section, number, "signet_ring", boxes=boxes)


def _blank(family: Family, index: int, slide: int, seed: int, size: int, variant: str) -> Section:
    if size < _SIZE_STEP or size % _SIZE_STEP:
        raise DataError(f"phantom size {size} px is not a positive multiple of {_SIZE_STEP}")
    streams = Streams.open(seed, family, index)
    textures = Textures.draw(streams.texture, size)
    return Section.blank(size, draw_slide(seed, family, slide, variant), streams, textures)


def _finish(
    section: Section,
    slide: int,
    kind: str,
    *,
    glands: GlandLayer | None = None,
    boxes: list[Box] | None = None,
    tissue: int | None = None,
) -> Scene:
    """Paint the cells, tidy the ground truth, take the picture."""
    cast, canvas = section.cast, section.canvas
    for blobs in (cast.cytoplasm, cast.nuclei, cast.overlays):
        paint(canvas, blobs, section.textures.chromatin, section.streams.paint)
    nuclei, classes = tidy_nuclei(canvas.labels, cast.classes, cast.nuclei, LOBED)
    image = photograph(canvas, section.slide, section.textures.broad, section.streams.camera)
    empty = np.zeros((section.size, section.size), np.int32)
    return Scene(
        image=image,
        nuclei=nuclei,
        nuclei_classes=classes,
        gland=empty if glands is None else glands.gland,
        gland_classes=np.zeros(0, np.int64) if glands is None else glands.gland_classes,
        lumen=empty.copy() if glands is None else glands.lumen,
        signet_ring=np.array(boxes or [], np.float32).reshape(-1, 4),
        tissue=tissue,
        slide=slide,
        kind=kind,
    )
