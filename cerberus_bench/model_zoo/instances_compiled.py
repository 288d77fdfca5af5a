"""From probability maps to label maps by the compiled kernel; see _kernel.h."""

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.model_zoo import kernel
from cerberus_bench.model_zoo.nucleus_rules import MARKER_MIN_AREA, MASK_MIN_AREA

Probability = NDArray[np.float32]
Labels = NDArray[np.int32]


def nuclei(
    inner: Probability, contour: Probability, *, published_ties: bool, threads: int
) -> Labels:
    """Label map of the nuclei of two (H, W) maps in any memory order."""
    labels = np.zeros(inner.shape, np.int32)
    kernel.compiled.nuclei(
        inner,
        contour,
        labels,
        MASK_MIN_AREA,
        MARKER_MIN_AREA,
        published_ties,
        threads,
    )
    return labels
