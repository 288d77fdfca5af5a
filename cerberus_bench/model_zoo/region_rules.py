"""The published rules by which glands and lumina are cut out of a probability map.

For images (`instances_plain`; _kernel_regions.c states the crop and the foreground once more) and
for slides, where a component may be spread over shards.
Source: Graham et al., "One Model is All You Need", Medical Image Analysis 2023, inference code.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cerberus_bench.schema.errors import DataError

Box = tuple[slice, slice]
"""Rows and columns, half-open, px."""


@dataclass(frozen=True, slots=True)
class RegionRules:
    """How glands or lumina are cut out of their probability map; sizes at scale factor 1."""

    threshold: float
    """Least inner probability of the foreground, exclusive."""
    min_area: int
    """Smaller components are dropped, px."""
    dilation: int
    """Side of the ellipse that gives back what training targets eroded, px."""

    def foreground(
        self, inner: NDArray[np.float32], contour: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Pixels of objects before they are grown."""
        return (inner > self.threshold) & (contour <= 0.5)

    def min_area_at(self, scale: float) -> int:
        """Least area of a component, px, on a map of `scale` px a px of the network's output."""
        return int(self.min_area * scale**2)

    def kernel(self, scale: float) -> NDArray[np.uint8]:
        """Ellipse that a component is dilated by.

        Raises:
            DataError: nothing of the ellipse is left at this scale.
        """
        size = int(self.dilation * scale)
        if size < 1:
            raise DataError(
                f"scale {scale} leaves no dilation of {self.dilation} px. Use a scale of at least "
                f"{1 / self.dilation}."
            )
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        return np.asarray(ellipse, dtype=np.uint8)


GLAND_RULES = RegionRules(threshold=0.55, min_area=1000, dilation=10)
LUMEN_RULES = RegionRules(threshold=0.5, min_area=150, dilation=2)


def growing_box(box: Box, kernel: NDArray[np.uint8], shape: tuple[int, ...]) -> Box:
    """Crop in which a component is dilated and filled: its box and twice the kernel around it.

    A side that would leave the map is not grown at all. That is the published code's rule, and it
    is visible: an object near the border is not dilated beyond its own box there.

    Args:
        box: of the component.
        kernel: what it is dilated by, square.
        shape: (H, W) of the map.
    """
    pad = 2 * len(kernel)

    def grow(side: slice, length: int) -> slice:
        start = side.start - pad if side.start - pad >= 0 else side.start
        stop = side.stop + pad if side.stop + pad <= length - 1 else side.stop
        return slice(start, stop)

    return grow(box[0], shape[0]), grow(box[1], shape[1])
