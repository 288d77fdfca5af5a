"""Random views of a record (geometry, on arrays) and random looks of a batch (colour, on tensors).

Geometry is drawn a window at a time, because windows are cut from records of any size; colour is
changed a batch at a time, on the device of the network.
Source of the stain vectors: Ruifrok and Johnston, "Quantification of histochemical staining by
color deconvolution", Anal Quant Cytol Histol 2001. Changing densities rather than colours: Tellez
et al., "Whole-slide mitosis detection", IEEE Trans Med Imaging 2018.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cerberus_bench.model_zoo.recipe import Augmentation

STAIN_VECTORS = ((0.650, 0.704, 0.286), (0.072, 0.990, 0.105), (0.268, 0.570, 0.776))
"""Optical density of haematoxylin, eosin and the residual in R, G, B."""
BLUR_RADIUS = 3


@dataclass(frozen=True, slots=True)
class View:
    """Where a square window lies in a record."""

    x: float
    """Centre, px from the left edge of the record."""
    y: float
    scale: float = 1.0
    """Pixels of the window per pixel of the record."""
    angle: float = 0.0
    """Degrees."""
    turn: int = 0
    """One of the eight flips and quarter turns, done last."""

    @property
    def is_slice(self) -> bool:
        """Whether the window is pixels of the record as they are, but for its turn."""
        return self.scale == 1 and self.angle == 0

    def corner(self, side: int) -> tuple[int, int]:
        """Column and row of the first pixel of a window that is a slice."""
        left, top = (math.floor(centre - side / 2 + 0.5) for centre in (self.x, self.y))
        return left, top


def random_view(
    rng: np.random.Generator, shape: tuple[int, int], side: int, recipe: Augmentation
) -> View:
    """Draw a window of `side` px that lies inside a record of `shape` (H, W), where it fits."""
    limit = math.log(recipe.scale)
    scale = math.exp(rng.uniform(-limit, limit))
    angle = rng.uniform(-recipe.rotation, recipe.rotation)
    turn = int(rng.integers(8)) if recipe.flips else 0
    y, x = (_random_centre(rng, length, side / scale) for length in shape)
    return View(x, y, scale, angle, turn)


def _random_centre(rng: np.random.Generator, length: int, side: float) -> float:
    free = length - math.ceil(side)
    return side / 2 + int(rng.integers(free + 1)) if free > 0 else length / 2


def cut(array: NDArray[Any], view: View, side: int, *, smooth: bool, border: int) -> NDArray[Any]:
    """Cut a window, before its turn.

    Args:
        array: (H, W) or (H, W, 3), uint8 or uint16.
        view: the window.
        side: its side, px.
        smooth: interpolate linearly; else take the nearest pixel (labels, masks).
        border: what lies outside the record, as an OpenCV border mode.
    """
    if view.is_slice:
        left, top = view.corner(side)
        return _slice(array, top, left, side, border)
    turn = math.radians(view.angle)
    cos, sin = math.cos(turn) / view.scale, math.sin(turn) / view.scale
    middle = (side - 1) / 2
    matrix = np.array(
        [
            [cos, -sin, view.x - 0.5 - (cos - sin) * middle],
            [sin, cos, view.y - 0.5 - (sin + cos) * middle],
        ]
    )
    how = (cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(array, matrix, (side, side), flags=how, borderMode=border)


def _slice(array: NDArray[Any], top: int, left: int, side: int, border: int) -> NDArray[Any]:
    height, width = array.shape[:2]
    inside = array[max(top, 0) : top + side, max(left, 0) : left + side]
    above, before = max(-top, 0), max(-left, 0)
    below, after = max(top + side - height, 0), max(left + side - width, 0)
    if not (above or below or before or after):
        return inside
    return cv2.copyMakeBorder(inside, above, below, before, after, border)


def turned(array: NDArray[Any], turn: int) -> NDArray[Any]:
    """Flip (`turn` of 4 to 7) and rotate by quarter turns the first two axes of an array."""
    flipped = array[:, ::-1] if turn >= 4 else array
    return np.ascontiguousarray(np.rot90(flipped, turn % 4))


def place_boxes(boxes: NDArray[np.float32], view: View, side: int) -> NDArray[np.float32]:
    """Boxes of a record in a window, its turn included.

    Worked out rather than drawn into a label map and cut like one: boxes of neighbours overlap,
    and a label map would lose what another box covers. A box that is not turned by quarters becomes
    the one around the turned ellipse that fills it, as for a round cell; the box around its turned
    corners would grow with every angle.

    Args:
        boxes: (n, 4) x0 y0 x1 y1, px; pixel centres are whole numbers.
        view: the window.
        side: its side, px.
    """
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    if view.is_slice:
        centre = centre - np.array(view.corner(side))
    else:
        angle = math.radians(view.angle)
        back = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        offset = centre - np.array([view.x - 0.5, view.y - 0.5])
        centre = view.scale * offset @ back.T + (side - 1) / 2
        half = view.scale * np.sqrt(half**2 @ (back**2).T)
    if view.turn >= 4:
        centre = np.stack([side - 1 - centre[:, 0], centre[:, 1]], axis=1)
    for _ in range(view.turn % 4):
        centre, half = np.stack([centre[:, 1], side - 1 - centre[:, 0]], axis=1), half[:, ::-1]
    return np.hstack([centre - half, centre + half]).astype(np.float32)


def recolour(images: Tensor, recipe: Augmentation, seed: int) -> Tensor:
    """Change stain, brightness, contrast, sharpness and noise, differently in each image.

    Args:
        images: (N, 3, H, W) in 0..255, any number type, on any device.
        recipe: how strongly.
        seed: the same seed gives the same change.

    Returns:
        (N, 3, H, W) float32 in 0..255, on the same device.
    """
    rng = np.random.default_rng(seed)
    x = images.float()
    if recipe.stain:
        x = _stain(x, rng, recipe.stain)
    if recipe.brightness or recipe.contrast:
        x = _tone(x, rng, recipe.brightness, recipe.contrast)
    if recipe.blur:
        x = _blur(x, rng, recipe.blur)
    if recipe.noise:
        x = _noise(x, rng, recipe.noise)
    return x.clamp(0, 255)


def _per_image(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(like.device)


def _stain(x: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    n = len(x)
    vectors = np.array(STAIN_VECTORS)
    gain = rng.uniform(1 - strength, 1 + strength, (n, 3))
    shift = rng.uniform(-strength / 10, strength / 10, (n, 3))
    unmix = np.linalg.inv(vectors)
    mix = _per_image(np.einsum("ij,nj,jk->nki", unmix, gain, vectors), x)
    offset = _per_image(shift @ vectors, x)
    density = -torch.log((x + 1) / 256)
    changed = torch.baddbmm(offset[:, :, None], mix, density.flatten(2)).view_as(x)
    return torch.exp(-changed) * 256 - 1


def _tone(x: Tensor, rng: np.random.Generator, brightness: float, contrast: float) -> Tensor:
    n = len(x)
    light = _per_image(rng.uniform(1 - brightness, 1 + brightness, (n, 1, 1, 1)), x)
    gain = _per_image(rng.uniform(1 - contrast, 1 + contrast, (n, 1, 1, 1)), x)
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * gain + mean * light


def _blur(x: Tensor, rng: np.random.Generator, largest: float) -> Tensor:
    n, channels, height, width = x.shape
    sigma = rng.uniform(0.2, max(0.2, largest), n)
    taps = np.exp(-(np.arange(-BLUR_RADIUS, BLUR_RADIUS + 1) ** 2) / (2 * sigma[:, None] ** 2))
    taps[rng.random(n) < 0.5] = np.arange(-BLUR_RADIUS, BLUR_RADIUS + 1) == 0
    taps /= taps.sum(1, keepdims=True)
    kernel = _per_image(np.repeat(taps, channels, axis=0), x)[:, None]
    flat = functional.pad(
        x.reshape(1, n * channels, height, width), (BLUR_RADIUS,) * 4, mode="reflect"
    )
    flat = functional.conv2d(flat, kernel[..., None], groups=n * channels)
    flat = functional.conv2d(flat, kernel[:, :, None], groups=n * channels)
    return flat.reshape(n, channels, height, width)


def _noise(x: Tensor, rng: np.random.Generator, largest: float) -> Tensor:
    deviation = _per_image(rng.uniform(0, largest, (len(x), 1, 1, 1)), x)
    generator = torch.Generator(x.device).manual_seed(int(rng.integers(2**62)))
    noise = torch.empty(x.shape, device=x.device).normal_(generator=generator)
    return x + deviation * noise
