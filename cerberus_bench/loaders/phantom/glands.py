"""Where the glands of a scene lie and what each of them is like."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

import numpy as np

from cerberus_bench.loaders.phantom.noise import value_noise
from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.tables import sincos
from cerberus_bench.loaders.phantom.units import Field, half_grid, limit, px

MucosaKind: TypeAlias = Literal["benign", "malignant", "mixed", "inflamed"]


class GlandType(IntEnum):
    """Classes of a gland instance."""

    BENIGN = 1
    MALIGNANT = 2
    SURFACE_EPITHELIUM = 3


@dataclass(frozen=True, slots=True)
class Crypt:
    """Outline of a gland: a bent ellipse with a wavy border; lengths in px."""

    x: float
    y: float
    a: float
    """Semi-axis along (cos, sin)."""
    b: float
    sin: float
    cos: float
    bend: float
    """Curvature of the long axis, 1/px."""
    harmonics: tuple[tuple[float, float], ...]
    """Cosine and sine amplitudes of the border, from the second harmonic on."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Outline of the surface epithelium: a half plane with a wavy border; lengths in px."""

    turn: float
    """Direction of the border, in turns."""
    sin: float
    cos: float
    offset: float
    """Where the apical border crosses the direction (-sin, cos)."""
    waves: Field
    """Displacement of the border on the half-resolution grid."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Outline of a crypt that opens to the gut: a bent finger below the surface; lengths in px."""

    surface: Surface
    along: float
    """Place along the surface, in the direction (cos, sin)."""
    end: float
    """Place of its blind end, in the direction (-sin, cos)."""
    width: float
    """Half width."""
    bend: float
    """Curvature, 1/px."""

    def coordinates(self, x: float, y: float) -> tuple[float, float]:
        """Distance off its straight axis, and past its blind end, of a point in px."""
        u = x * self.surface.cos + y * self.surface.sin - self.along
        return abs(u), y * self.surface.cos - x * self.surface.sin - self.end


@dataclass(frozen=True, slots=True)
class Gland:
    """One gland, or the surface epithelium, before it is cut by its neighbours."""

    kind: GlandType
    outline: Crypt | Surface | Opening
    height: float
    """Mean height of the epithelium, px."""
    goblets: float
    """Share of the room that goblet vacuoles take, about 0 to 1.2."""
    tint: float
    """Factor of the cytoplasm's stain."""
    faint: bool
    holes: int
    """Round cribriform spaces."""

    @property
    def is_malignant(self) -> bool:
        """Whether the epithelium is dysplastic."""
        return self.kind is GlandType.MALIGNANT

    @property
    def is_surface(self) -> bool:
        """Whether it borders the gut lumen instead of a lumen of its own."""
        return self.kind is GlandType.SURFACE_EPITHELIUM


@dataclass(frozen=True, slots=True)
class _Habit:
    """Distributions that tell normal from dysplastic glands; lengths in um."""

    pitch_along_um: tuple[float, float]
    pitch_across_um: tuple[float, float]
    jitter_um: tuple[float, float]
    turn_sd: float
    dropout: float
    axis_sd: tuple[float, float]
    axis_gain: tuple[float, float]
    harmonic_sd: float
    harmonics: int
    bend_sd_per_um: float


_BENIGN = _Habit(
    pitch_along_um=(82.5, 125.0),
    pitch_across_um=(59.0, 79.0),
    jitter_um=(4.5, 3.0),
    turn_sd=0.018,
    dropout=0.05,
    axis_sd=(0.07, 0.07),
    axis_gain=(1.0, 1.0),
    harmonic_sd=0.035,
    harmonics=3,
    bend_sd_per_um=0.0008,
)
_MALIGNANT = _Habit(
    pitch_along_um=(82.5, 145.0),
    pitch_across_um=(60.0, 92.5),
    jitter_um=(11.0, 8.0),
    turn_sd=0.07,
    dropout=0.18,
    axis_sd=(0.16, 0.15),
    axis_gain=(1.08, 1.10),
    harmonic_sd=0.10,
    harmonics=6,
    bend_sd_per_um=0.0028,
)

SPARSE_SHARE = 0.2
"""Share of scenes in which up to 60 % of the glands are left out."""

_SPARSE_DROPOUT = 0.6
_LARGE_SHARE = 0.25
"""Share of scenes whose glands are up to 1.7 times larger: in GlaS many are."""

_DENSE_SHIFT = 0.3
"""Share of the pitch by which the middle gland of a dense plan may lie off the middle."""

_FAINT_SHARE = 0.12
_MARGIN_UM = 110.0
_TALLEST_UM = 29.0
_OPENING_SHARE = 0.6
_OPENING_PITCH_UM = (55.0, 120.0)
_OPENING_WIDTH_UM = (19.0, 27.0)
_OPENING_LENGTH_UM = (60.0, 140.0)
_ROW = 0.93
"""Distance of the rows of the hexagonal lattice in units of the pitch across."""


def plan_crypts(
    random: RandomStream, size: int, kind: MucosaKind, turn: float, *, dense: bool = False
) -> list[Gland]:
    """Glands on a jittered hexagonal lattice, rotated to the slide's direction `turn`.

    Args:
        random: source of the plan.
        size: side of the image in px.
        kind: state of the glands.
        turn: direction of the long axes, in turns.
        dense: puts a gland in the middle and leaves none out.
    """
    lattice = _MALIGNANT if kind == "malignant" else _BENIGN
    along, across = _pitch(random, lattice)
    sin, cos = sincos(turn)
    looseness = random.uniform(0.72, 0.93)
    dropout = lattice.dropout
    if random.chance(SPARSE_SHARE):
        dropout = max(dropout, random.uniform(0.0, _SPARSE_DROPOUT))
    dropout = 0.0 if dense else dropout
    frontier = _Frontier(random, size, kind)
    shift = _DENSE_SHIFT if dense else 1.0
    start = (random.uniform(0.0, along) * shift, random.uniform(0.0, across) * shift)
    columns, rows = int(size * 0.9 / along) + 2, int(size * 0.9 / across) + 2
    glands = []
    for i in range(-columns, columns + 1):
        for j in range(-rows, rows + 1):
            u = (
                (i + 0.5 * (j & 1)) * along
                + start[0]
                + random.normal(0.0, px(lattice.jitter_um[0]))
            )
            v = j * across * _ROW + start[1] + random.normal(0.0, px(lattice.jitter_um[1]))
            x, y = size / 2 + u * cos - v * sin, size / 2 + u * sin + v * cos
            dropped = random.chance(dropout)
            if dropped or not _near(x, y, size):
                continue
            axes = (along * 0.5 * looseness, across * 0.5 * looseness)
            glands.append(_draw_gland(random, frontier.is_malignant(x, y), (x, y), axes, turn))
    return glands


def _pitch(random: RandomStream, habit: _Habit) -> tuple[float, float]:
    along, across = (
        px(random.uniform(*habit.pitch_along_um)),
        px(random.uniform(*habit.pitch_across_um)),
    )
    if habit is _BENIGN:
        if random.chance(0.3):
            along = across * random.uniform(1.0, 1.2)
        if random.chance(0.2):
            along *= 1.7
    if random.chance(_LARGE_SHARE):
        scale = random.uniform(1.2, 1.7)
        along, across = along * scale, across * scale
    return along, across


class _Frontier:
    """The straight line between normal and dysplastic glands of a mixed scene."""

    def __init__(self, random: RandomStream, size: int, kind: MucosaKind) -> None:
        self._centre = size / 2
        self._sin, self._cos = random.direction()
        self._offset = random.uniform(-0.1, 0.5) * size * 0.4
        self._kind = kind

    def is_malignant(self, x: float, y: float) -> bool:
        if self._kind != "mixed":
            return self._kind == "malignant"
        across = (x - self._centre) * self._cos + (y - self._centre) * self._sin
        return across > self._offset


def _near(x: float, y: float, size: int) -> bool:
    margin = px(_MARGIN_UM)
    return -margin < x < size + margin and -margin < y < size + margin


def _draw_gland(
    random: RandomStream,
    malignant: bool,
    centre: tuple[float, float],
    axes: tuple[float, float],
    turn: float,
) -> Gland:
    habit = _MALIGNANT if malignant else _BENIGN
    sin, cos = sincos((turn + random.normal(0.0, habit.turn_sd)) % 1.0)
    b = axes[1] * random.normal(1.0, habit.axis_sd[1]) * habit.axis_gain[1]
    outline = Crypt(
        x=centre[0],
        y=centre[1],
        a=axes[0] * random.normal(1.0, habit.axis_sd[0]) * habit.axis_gain[0],
        b=b,
        sin=sin,
        cos=cos,
        bend=random.normal(0.0, habit.bend_sd_per_um) / px(1.0),
        harmonics=_harmonics(random, habit),
    )
    if malignant:
        height = px(random.normal(19.5, 4.0))
        goblets = max(random.normal(0.02, 0.06), 0.0)
    else:
        height = min(b * limit(random.normal(0.80, 0.12), 0.5, 1.05), px(_TALLEST_UM))
        goblets = limit(random.normal(0.85, 0.25), 0.1, 1.2)
    return Gland(
        kind=GlandType.MALIGNANT if malignant else GlandType.BENIGN,
        outline=outline,
        height=height,
        goblets=goblets,
        tint=random.normal(1.0, 0.13),
        faint=random.chance(_FAINT_SHARE),
        holes=random.below(4) if malignant and random.chance(0.5) else 0,
    )


def _harmonics(random: RandomStream, habit: _Habit) -> tuple[tuple[float, float], ...]:
    amplitudes = [habit.harmonic_sd / (1.0 + 0.45 * j) for j in range(habit.harmonics)]
    return tuple((random.normal(0.0, sd), random.normal(0.0, sd)) for sd in amplitudes)


def plan_surface(random: RandomStream, texture: RandomStream, size: int) -> tuple[Gland, Surface]:
    """Surface epithelium along one of the four sides of the image, and its outline."""
    turn = (random.normal(0.0, 0.02) + random.below(4) * 0.25) % 1.0
    sin, cos = sincos(turn)
    lowest = min(0.0, -size * sin, size * cos, size * (cos - sin))
    n = half_grid(size)
    half = np.float32(0.5)
    waves = (value_noise(texture, n, 38.0) - half) * np.float32(px(23.0))
    waves = waves + (value_noise(texture, n, 14.0) - half) * np.float32(px(4.5))
    outline = Surface(turn, sin, cos, lowest + px(random.uniform(25.0, 75.0)), waves)
    gland = Gland(
        kind=GlandType.SURFACE_EPITHELIUM,
        outline=outline,
        height=px(random.normal(19.0, 1.5)),
        goblets=random.uniform(0.05, 0.4),
        tint=1.0,
        faint=False,
        holes=0,
    )
    return gland, outline


def plan_openings(random: RandomStream, surface: Surface, size: int) -> list[Gland]:
    """Crypts that open to the gut, at irregular intervals along the surface."""
    openings = []
    along = -size * 0.5 + px(random.uniform(0.0, 60.0))
    while along < size * 1.5:
        along += px(random.uniform(*_OPENING_PITCH_UM))
        width = px(random.uniform(*_OPENING_WIDTH_UM))
        end = surface.offset + px(random.uniform(*_OPENING_LENGTH_UM))
        bend = random.normal(0.0, 0.0006) / px(1.0)
        gland = Gland(
            kind=GlandType.BENIGN,
            outline=Opening(surface, along, end, width, bend),
            height=width * random.uniform(0.68, 0.86),
            goblets=limit(random.normal(0.75, 0.25), 0.1, 1.2),
            tint=random.normal(1.0, 0.08),
            faint=False,
            holes=0,
        )
        if random.chance(_OPENING_SHARE):
            openings.append(gland)
    return openings


def clear_of_openings(glands: list[Gland], openings: list[Gland]) -> list[Gland]:
    """The glands whose middle does not lie in or beside an opening."""
    fingers = [gland.outline for gland in openings if isinstance(gland.outline, Opening)]
    return [
        gland
        for gland in glands
        if not isinstance(gland.outline, Crypt)
        or not any(_meets(gland.outline, finger) for finger in fingers)
    ]


def _meets(crypt: Crypt, finger: Opening) -> bool:
    off_axis, past_end = finger.coordinates(crypt.x, crypt.y)
    reach = min(crypt.a, crypt.b) * 0.8
    return off_axis < finger.width + reach and past_end < finger.width + reach
