"""Objects that a source draws as outlines, one polygon and one class each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.instances import from_label_map
from cerberus_bench.loaders.polygons import Rasterised, rasterise
from cerberus_bench.schema.record import Instances

SKIPPED = "polygons of fewer than three points, skipped"
"""Note of a reader that paints."""

Outline = NDArray[np.float64]
"""(n, 2) vertices x y, px; the pixel of column i spans i to i + 1."""


def paint(
    polygons: Sequence[Outline], classes: Sequence[int], shape: tuple[int, int]
) -> tuple[Instances, dict[str, int]]:
    """Objects painted under the rule of `rasterise`, and what was done to their outlines.

    Args:
        polygons: one an object; the n-th gets the id n, from 1.
        classes: their one-based class indices.
        shape: (H, W) of the label map.
    """
    painted = rasterise(polygons, shape)
    of_id = np.array([0, *classes], np.int64)
    return from_label_map(painted.labels, lambda ids: of_id[ids]), painting_notes(painted)


def covered(polygons: Sequence[Outline], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) the pixels inside any of the polygons."""
    inside: NDArray[np.bool_] = rasterise(polygons, shape).labels > 0
    return inside


def painting_notes(painted: Rasterised) -> dict[str, int]:
    """What painting did, in words; without what never happened."""
    notes = {
        SKIPPED: painted.n_skipped,
        "polygons cut at the border of the image": painted.n_clipped,
        "polygons hidden by earlier ones or without a pixel": painted.n_hidden,
    }
    return {text: n for text, n in notes.items() if n}


def box_outline(x0: float, y0: float, x1: float, y1: float) -> Outline:
    """The outline of a box."""
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


def one_outline(rings: Sequence[Outline]) -> Outline:
    """Rings (parts of an object, and its holes) as one polygon with the same inside.

    The rings are joined by edges that are walked there and back, so that they cancel under the
    even-odd rule.
    """
    if len(rings) == 1:
        return rings[0]
    hub = rings[0][:1]
    return np.concatenate([part for ring in rings for part in (hub, ring, ring[:1], hub)])
