"""Baselines that need no weights: what image processing reached before networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMOOTHING_UM = 0.75
"""Standard deviation of the blur of the haematoxylin channel."""
SMALLEST_UM2 = 8.0
"""Specks and holes below this area are no nuclei and no holes."""
SEED_SPACING_UM = 2.5
"""Least distance of two seeds; about the radius of a small nucleus."""


@dataclass(frozen=True, slots=True)
class ClassicalModel:
    """A baseline without weights, as `list models` shows it."""

    description: str
    method: str
    """Its steps and constants."""
    limits: str
    """Where it must fail."""
    references: tuple[str, ...]
    task: str
    segment: Callable[[NDArray[np.uint8], float], NDArray[np.int32]]
    """(H, W, 3) RGB and its microns per pixel -> (H, W) label map."""


def watershed_nuclei(image: NDArray[np.uint8], mpp: float) -> NDArray[np.int32]:
    """Nuclei by colour deconvolution, Otsu's threshold and a watershed of the distance map.

    The stain vectors are those of Ruifrok and Johnston (2001), the threshold is Otsu's (1979) of
    the blurred haematoxylin channel, and seeds are the maxima of the distance to background.
    Lengths are in microns, so that the result does not hang on the resolution.

    Args:
        image: (H, W, 3) RGB.
        mpp: microns per pixel.

    Returns:
        (H, W) ids from 1, 0 = background; all 0 where the image has one haematoxylin value.
    """
    from scipy import ndimage
    from skimage.color import rgb2hed
    from skimage.filters import threshold_otsu
    from skimage.segmentation import watershed

    stain = ndimage.gaussian_filter(rgb2hed(image)[..., 0], SMOOTHING_UM / mpp)
    if np.ptp(stain) == 0:
        return np.zeros(stain.shape, np.int32)
    smallest_px = SMALLEST_UM2 / mpp**2
    threshold = threshold_otsu(stain)  # type: ignore[no-untyped-call]
    dark = _without_specks(stain > threshold, smallest_px)
    dark = ~_without_specks(~dark, smallest_px)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(dark), 1)
    seeds = _seeds(distance, dark, max(round(SEED_SPACING_UM / mpp), 1))
    labels = watershed(-distance, seeds, mask=dark)  # type: ignore[no-untyped-call]
    return np.asarray(labels, np.int32)


def _without_specks(mask: NDArray[np.bool_], smallest_px: float) -> NDArray[np.bool_]:
    """The mask without its 4-connected pieces below an area."""
    from scipy import ndimage

    pieces, _ = ndimage.label(mask)
    keep = np.bincount(pieces.ravel()) >= smallest_px
    keep[0] = False
    kept: NDArray[np.bool_] = keep[pieces]
    return kept


def _seeds(
    distance: NDArray[np.float64], mask: NDArray[np.bool_], spacing_px: int
) -> NDArray[np.int32]:
    """One id a local maximum of the distance; a piece without a maximum is a seed as a whole."""
    from scipy import ndimage

    highest = ndimage.maximum_filter(distance, size=2 * spacing_px + 1)
    maxima = mask & (distance == highest)
    pieces, n_pieces = ndimage.label(mask)
    seedless = np.setdiff1d(np.arange(1, n_pieces + 1), pieces[maxima])
    seeds, _ = ndimage.label(maxima | np.isin(pieces, seedless), np.ones((3, 3)))
    return seeds.astype(np.int32)


CLASSICAL: Mapping[str, ClassicalModel] = {
    "classical-watershed": ClassicalModel(
        description="haematoxylin by colour deconvolution, Otsu's threshold, watershed; no classes",
        method="haematoxylin is separated by fixed stain vectors and blurred (standard deviation"
        f" {SMOOTHING_UM} um); Otsu's threshold of the image parts dark from light; specks and"
        f" holes below {SMALLEST_UM2:g} um2 go; a watershed from the maxima of the distance to"
        f" background, at least {SEED_SPACING_UM} um apart, parts what touches",
        limits="the threshold always finds something, also in an image without nuclei; all that"
        " haematoxylin stains counts as nucleus, mucin and debris too; stains far from the fixed"
        " vectors; crowded nuclei, which it splits and joins by shape alone",
        references=(
            "Ruifrok and Johnston, Anal Quant Cytol Histol 2001 (stain vectors)",
            "Otsu, IEEE Trans Syst Man Cybern 1979 (threshold)",
        ),
        task="nuclei",
        segment=watershed_nuclei,
    )
}
"""Baselines by name."""
