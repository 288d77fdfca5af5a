"""Stain, optics and orientation, drawn once for each synthetic slide."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from cerberus_bench.loaders.phantom.randomness import Family, Purpose, RandomStream
from cerberus_bench.loaders.phantom.units import limit
from cerberus_bench.schema.errors import DataError

Vector: TypeAlias = tuple[float, float, float]
Variant: TypeAlias = Literal["default", "stain-shift", "blur"]

VARIANTS: tuple[str, ...] = get_args(Variant)

_HAEMATOXYLIN = ((0.47, 0.84, 0.27), (0.61, 0.73, 0.31))
_EOSIN = ((0.04, 0.98, 0.17), (0.20, 0.93, 0.31))
_ERYTHROCYTE = ((0.03, 0.84, 0.54), (0.04, 0.88, 0.47))
_SHIFTED_HAEMATOXYLIN = (0.75, 0.62, 0.22)
_SHIFTED_EOSIN = (0.35, 0.88, 0.32)
_BLUR_PASSES = 8
NO_COMPRESSION = 100


@dataclass(frozen=True, slots=True)
class Slide:
    """What all images of one slide share."""

    haematoxylin: Vector
    """Unit optical-density vector (red, green, blue) of haematoxylin."""
    eosin: Vector
    red: Vector
    """Of erythrocytes and of the granules of eosinophils."""
    haematoxylin_gain: float
    eosin_gain: float
    blur_passes: int
    """Passes of [1 2 1] / 4; the standard deviation is sqrt(passes / 2) px."""
    noise: float
    """Standard deviation of the camera noise in grey levels."""
    white: Vector
    """Share of the grey level of glass that each channel reaches."""
    quality: int
    """JPEG-like quality; `NO_COMPRESSION` leaves the pixels alone."""
    looseness: float
    """Texture level above which the lamina propria tears into clefts; low is loose."""
    turn: float
    """Direction of crypts and fibres, in turns."""
    chromatin_gain: float


def draw_slide(seed: int, family: Family, number: int, variant: str = "default") -> Slide:
    """The slide with this number; a variant changes stain or focus and nothing else."""
    slide = _draw(RandomStream(seed, family, Purpose.SLIDE, number))
    if variant == "stain-shift":
        return replace(
            slide, haematoxylin=_unit(_SHIFTED_HAEMATOXYLIN), eosin=_unit(_SHIFTED_EOSIN)
        )
    if variant == "blur":
        return replace(slide, blur_passes=_BLUR_PASSES)
    if variant != "default":
        raise DataError(f"phantom variant {variant!r} is unknown; choose one of {VARIANTS}")
    return slide


def _draw(random: RandomStream) -> Slide:
    mix = limit(random.uniform(-0.35, 1.35), 0.0, 1.0)
    eosin_mix = limit(mix + random.uniform(-0.3, 0.3), 0.0, 1.0)
    return Slide(
        haematoxylin=_between(random, *_HAEMATOXYLIN, mix, 0.03),
        eosin=_between(random, *_EOSIN, eosin_mix, 0.03),
        red=_between(random, *_ERYTHROCYTE, random.uniform(), 0.02),
        haematoxylin_gain=(0.85 + 1.2 * _squared(random.uniform())) * (1.15 - 0.25 * mix),
        eosin_gain=(0.82 + 0.95 * _squared(random.uniform())) * (1.15 - 0.3 * mix),
        blur_passes=random.choice((0, 1, 2, 4), (1.0, 1.2, 0.7, 0.3)),
        noise=random.uniform(1.2, 4.0),
        white=(
            random.uniform(0.965, 1.0),
            random.uniform(0.955, 0.995),
            random.uniform(0.965, 1.0),
        ),
        quality=random.choice((70, 80, 90, NO_COMPRESSION), (0.6, 1.0, 1.0, 1.0)),
        looseness=random.uniform(0.44, 0.62),
        turn=random.uniform(),
        chromatin_gain=math.sqrt(random.uniform(0.8, 1.2)),
    )


def _squared(value: float) -> float:
    return value * value


def _between(random: RandomStream, a: Vector, b: Vector, t: float, jitter: float) -> Vector:
    mixed = [
        p * (1.0 - t) + q * t + random.uniform(-jitter, jitter) for p, q in zip(a, b, strict=True)
    ]
    return _unit((mixed[0], mixed[1], mixed[2]))


def _unit(vector: Vector) -> Vector:
    x, y, z = vector
    length = math.sqrt(x * x + y * y + z * z)
    return max(x, 0.0) / length, max(y, 0.0) / length, max(z, 0.0) / length
