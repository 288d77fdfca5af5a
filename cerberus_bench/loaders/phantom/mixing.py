"""Patches in which two tissues meet; the label is the one that covers at least 60 %."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.geometry import blur, upsample_labels
from cerberus_bench.loaders.phantom.layer import Section
from cerberus_bench.loaders.phantom.noise import value_noise
from cerberus_bench.loaders.phantom.paint import Blob
from cerberus_bench.loaders.phantom.tissue import Tissue, build_tissue
from cerberus_bench.loaders.phantom.units import Field, Mask, frame, px

MIXED_SHARE = 0.2
"""Share of patches that show a second tissue."""

LEAST_SHARE = 0.6
"""Area that the labelled tissue covers at least."""

_SECOND_SHARE = (0.15, 0.38)
_WAVE_UM = 30.0

_NEIGHBOURS: dict[Tissue, tuple[Tissue, ...]] = {
    Tissue.BACKGROUND: (Tissue.STROMA, Tissue.ADIPOSE, Tissue.MUCUS),
    Tissue.ABNORMAL_EPITHELIUM: (
        Tissue.STROMA,
        Tissue.DEBRIS,
        Tissue.MUCUS,
        Tissue.INFLAMMATORY,
    ),
    Tissue.NORMAL_EPITHELIUM: (Tissue.INFLAMMATORY, Tissue.MUSCLE, Tissue.STROMA),
    Tissue.INFLAMMATORY: (Tissue.STROMA, Tissue.MUSCLE, Tissue.NORMAL_EPITHELIUM),
    Tissue.MUSCLE: (Tissue.STROMA, Tissue.ADIPOSE, Tissue.INFLAMMATORY),
    Tissue.STROMA: (Tissue.MUSCLE, Tissue.ADIPOSE, Tissue.ABNORMAL_EPITHELIUM),
    Tissue.DEBRIS: (Tissue.ABNORMAL_EPITHELIUM, Tissue.MUCUS, Tissue.STROMA),
    Tissue.MUCUS: (Tissue.ABNORMAL_EPITHELIUM, Tissue.STROMA, Tissue.DEBRIS),
    Tissue.ADIPOSE: (Tissue.STROMA, Tissue.MUSCLE, Tissue.INFLAMMATORY),
}


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a mixed patch shows."""

    second: Tissue
    share: float
    """Area of the labelled tissue, 0.6 to 1."""


def build_mixed(section: Section, tissue: Tissue) -> Mixture:
    """Fill a blank section with `tissue`, and a neighbour of it on one side.

    A gland goes whole to the side on which more of it lies, so that none is cut by the frontier.
    """
    plan = section.streams.plan
    second = _NEIGHBOURS[tissue][plan.below(len(_NEIGHBOURS[tissue]))]
    other = Section.blank(section.size, section.slide, section.streams, section.textures)
    build_tissue(section, tissue)
    build_tissue(other, second)
    mask = _territory(section, other)
    _merge(section, other, mask)
    return Mixture(second, int(np.count_nonzero(mask)) / mask.size)


def _territory(section: Section, other: Section) -> Mask:
    """Where the labelled tissue is; its neighbour yields until the label is right."""
    heights = _frontier_heights(section)
    share = section.streams.plan.uniform(*_SECOND_SHARE)
    for second_share in (share, share / 2.0):
        cut = np.partition(heights.ravel(), int(second_share * heights.size))
        mask = heights > cut[int(second_share * heights.size)]
        mask = _with_whole_glands(section, mask)
        mask = ~_with_whole_glands(other, ~mask)
        if int(np.count_nonzero(mask)) >= LEAST_SHARE * mask.size:
            return mask
    return np.ones_like(mask)


def _frontier_heights(section: Section) -> Field:
    """Position across a wavy line of random direction."""
    sin, cos = section.streams.plan.direction()
    axis = np.arange(section.size, dtype=np.float32)
    wave = value_noise(section.streams.texture, section.size, 40.0)
    ramp: Field = axis[None] * np.float32(cos) + axis[:, None] * np.float32(sin)
    return ramp + wave * np.float32(px(_WAVE_UM))


def _with_whole_glands(section: Section, mask: Mask) -> Mask:
    if section.glands is None:
        return mask
    inner = (frame(section.size), frame(section.size))
    part = upsample_labels(section.glands.part[inner])
    total = np.bincount(part.ravel())
    inside = np.bincount(part[mask], minlength=len(total))
    mine = inside * 2 > total
    whole: Mask = np.where(part > 0, mine[part], mask)
    return whole


def _merge(section: Section, other: Section, mask: Mask) -> None:
    """Blend the grounds over a few pixels; each cell stays where its own tissue is."""
    weight = blur(mask.astype(np.float32), 4)
    for mine, theirs in (
        (section.canvas.haematoxylin, other.canvas.haematoxylin),
        (section.canvas.eosin, other.canvas.eosin),
        (section.canvas.red, other.canvas.red),
    ):
        mine += (np.float32(1.0) - weight) * (theirs - mine)
    offset = len(section.cast.classes) - 1
    section.cast.classes += other.cast.classes[1:]
    for mine_blobs, their_blobs in (
        (section.cast.cytoplasm, other.cast.cytoplasm),
        (section.cast.nuclei, other.cast.nuclei),
        (section.cast.overlays, other.cast.overlays),
    ):
        kept = [blob for blob in mine_blobs if _lies_on(blob, mask)]
        moved = [_renumbered(blob, offset) for blob in their_blobs if not _lies_on(blob, mask)]
        mine_blobs[:] = kept + moved


def _lies_on(blob: Blob, mask: NDArray[np.bool_]) -> bool:
    last = mask.shape[0] - 1
    row, column = min(max(int(blob.y), 0), last), min(max(int(blob.x), 0), last)
    return bool(mask[row, column])


def _renumbered(blob: Blob, offset: int) -> Blob:
    return blob._replace(label=blob.label + offset) if blob.label > 0 else blob
