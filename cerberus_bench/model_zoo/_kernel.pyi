import numpy as np
from numpy.typing import NDArray

Probability = NDArray[np.float32]
Labels = NDArray[np.int32]

def nuclei(
    inner: Probability,
    contour: Probability,
    labels: Labels,
    min_mask_area: int,
    min_marker_area: int,
    published_ties: bool,
    threads: int,
    /,
) -> bool:
    """Paint nuclei on a map of zeros in C order.

    Returns:
        Whether the order of equal marker pixels mattered.
    """
