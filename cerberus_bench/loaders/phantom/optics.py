"""From stain concentrations to pixels: thickness, focus, Beer-Lambert, noise, JPEG-like blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.geometry import blur, upsample_labels
from cerberus_bench.loaders.phantom.paint import Canvas
from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.slide import NO_COMPRESSION, Slide
from cerberus_bench.loaders.phantom.tables import GREY_FRACTION, OD_STEPS, TRANSMISSION, dct_basis
from cerberus_bench.loaders.phantom.units import Field, Labels, clamp

_NOISE_SD = 105.0
"""Standard deviation of the sum of two random bytes."""

_DEFOCUS_PASSES = 2
"""Further passes of [1 2 1] / 4 where the section lies out of the focal plane."""

_BLOCK = 8
_DCT = dct_basis()
_DCT_SCALE = float(1 << 20)
_LUMA_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Luminance quantisation table of ITU-T T.81, Annex K."""


def photograph(
    canvas: Canvas, slide: Slide, thickness: Field, random: RandomStream
) -> NDArray[np.uint8]:
    """The RGB uint8 image of a section.

    Args:
        canvas: concentrations; labels are not read, so ground truth never sees the blur.
        slide: stain vectors and optics.
        thickness: texture in 0 .. 1 by which the section's thickness drifts (88 to 112 %).
        random: source of the camera noise.
    """
    gain = np.float32(0.88) + np.float32(0.24) * thickness
    defocus = clamp((thickness - np.float32(0.5)) * np.float32(3.0), 0.0, 1.0)
    stains = tuple(
        (_stain(field * gain, slide, strength, defocus), vector)
        for field, strength, vector in (
            (canvas.haematoxylin, slide.haematoxylin_gain, slide.haematoxylin),
            (canvas.eosin, slide.eosin_gain, slide.eosin),
            (canvas.red, slide.eosin_gain, slide.red),
        )
    )
    shape = canvas.labels.shape
    raw = random.raw_bytes(shape[0] * shape[1] * 6).reshape(2, 3, *shape)
    noise_step = int(slide.noise * 256.0 / _NOISE_SD)
    grey = np.empty((*shape, 3), np.int32)
    for channel in range(3):
        density = np.zeros(shape, np.float32)
        for concentration, vector in stains:
            density += concentration * np.float32(vector[channel])
        step = np.minimum((density * OD_STEPS + np.float32(0.5)).astype(np.int32), 3 * OD_STEPS - 1)
        light = (TRANSMISSION[step] * int(slide.white[channel] * 1024)) >> 10
        noise = raw[0, channel].astype(np.int32) + raw[1, channel].astype(np.int32) - 255
        light += (noise * noise_step) >> 2
        grey[..., channel] = (light + GREY_FRACTION // 2) // GREY_FRACTION
    grey = np.minimum(np.maximum(grey, 0), 255)
    if slide.quality < NO_COMPRESSION:
        grey = compress(grey, slide.quality)
    return grey.astype(np.uint8)


def _stain(field: Field, slide: Slide, gain: float, defocus: Field) -> Field:
    """Blurred as the slide is, and a little more where the section is out of focus."""
    sharp = blur(field, slide.blur_passes)
    sharp = sharp + (blur(sharp, _DEFOCUS_PASSES) - sharp) * defocus
    stain: Field = np.maximum(sharp * np.float32(gain), np.float32(0.0))
    return stain


def compress(rgb: Labels, quality: int) -> Labels:
    """The artefacts of JPEG in integer arithmetic: 2 x 2 chroma, 8 x 8 DCT, quantised.

    Args:
        rgb: (H, W, 3) int32 in 0 .. 255; H and W divisible by 16.
        quality: 50 .. 99, as libjpeg scales the table of Annex K.
    """
    scale = 200 - 2 * quality
    steps = np.minimum(np.maximum((np.array(_LUMA_STEPS) * scale + 50) // 100, 1), 255)
    chroma_steps = np.minimum(np.maximum((steps * 14 + 5) // 10, 1), 99)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = (77 * red + 150 * green + 29 * blue + 128) >> 8
    chroma_blue = _chroma((-43 * red - 85 * green + 128 * blue) >> 8, chroma_steps)
    chroma_red = _chroma((128 * red - 107 * green - 21 * blue) >> 8, chroma_steps)
    luma = _quantise(luma - 128, steps) + 128
    out = np.stack(
        (
            luma + ((359 * chroma_red + 128) >> 8),
            luma - ((88 * chroma_blue + 183 * chroma_red + 128) >> 8),
            luma + ((454 * chroma_blue + 128) >> 8),
        ),
        axis=-1,
    )
    limited: Labels = np.minimum(np.maximum(out, 0), 255).astype(np.int32)
    return limited


def _chroma(plane: Labels, steps: NDArray[np.int64]) -> Labels:
    even, odd = plane[0::2], plane[1::2]
    mean = (even[:, 0::2] + odd[:, 0::2] + even[:, 1::2] + odd[:, 1::2] + 2) >> 2
    chroma: Labels = upsample_labels(_quantise(mean, steps)).astype(np.int32)
    return chroma


def _quantise(plane: Labels, steps: NDArray[np.int64]) -> Labels:
    """DCT, quantise, inverse: float64 products of integers below 2^53, exact in any order."""
    height, width = plane.shape
    blocks = plane.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(0, 2, 1, 3)
    turned = _transform(np.ascontiguousarray(blocks).reshape(-1, _BLOCK).astype(np.float64), _DCT.T)
    table = steps.T.reshape(1, _BLOCK * _BLOCK).astype(np.float64)
    coefficients = turned.reshape(-1, _BLOCK * _BLOCK)
    restored = np.floor(coefficients / (table * _DCT_SCALE) + 0.5) * table
    pixels = _transform(restored.reshape(-1, _BLOCK), _DCT)
    rounded = np.floor(pixels * (1.0 / _DCT_SCALE) + 0.5)
    grid = rounded.reshape(height // _BLOCK, width // _BLOCK, _BLOCK, _BLOCK).transpose(0, 2, 1, 3)
    return grid.reshape(height, width).astype(np.int32)


def _transform(rows: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """One dimension, transpose, the other dimension: blocks come out transposed."""
    once = (rows @ matrix).reshape(-1, _BLOCK, _BLOCK).transpose(0, 2, 1)
    return np.ascontiguousarray(once).reshape(-1, _BLOCK) @ matrix
