"""The six kinds of cell in the order of Lizard, and the draw lists that collect them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

from cerberus_bench.loaders.phantom.paint import Blob
from cerberus_bench.loaders.phantom.randomness import RandomStream
from cerberus_bench.loaders.phantom.tables import sincos
from cerberus_bench.loaders.phantom.units import limit, px


class CellType(IntEnum):
    """Nucleus classes; the values are those of Lizard and CoNIC."""

    NEUTROPHIL = 1
    EPITHELIAL = 2
    LYMPHOCYTE = 3
    PLASMA = 4
    EOSINOPHIL = 5
    CONNECTIVE = 6


STROMAL_TYPES = (
    CellType.NEUTROPHIL,
    CellType.LYMPHOCYTE,
    CellType.PLASMA,
    CellType.EOSINOPHIL,
    CellType.CONNECTIVE,
)
"""Order of every mixture of stromal cells."""

LOBED = frozenset({int(CellType.NEUTROPHIL), int(CellType.EOSINOPHIL)})
"""Classes whose nucleus is several blobs under one id."""

LYMPHOCYTE_RADIUS_UM = 2.4
LYMPHOCYTE_RADIUS_SD_UM = 0.325
LYMPHOCYTE_RIM_UM = 0.8
PLASMA_RADIUS_UM = 2.45
PLASMA_RADIUS_SD_UM = 0.275
EOSINOPHIL_RADIUS_UM = 3.8
EOSINOPHIL_RADIUS_SD_UM = 0.35
EOSINOPHIL_LOBE_UM = 1.75
EOSINOPHIL_LOBE_SD_UM = 0.15
NEUTROPHIL_RADIUS_UM = 3.7
NEUTROPHIL_RADIUS_SD_UM = 0.3
NEUTROPHIL_LOBE_UM = 1.35
NEUTROPHIL_LOBE_SD_UM = 0.125
SPINDLE_LENGTH_UM = 3.6
SPINDLE_LENGTH_SD_UM = 1.15
SPINDLE_LENGTH_RANGE_UM = (2.0, 7.0)
SPINDLE_WIDTH_UM = 1.2
SPINDLE_WIDTH_SD_UM = 0.275
SPINDLE_LEAST_WIDTH_UM = 0.7


class Cast:
    """The cells of a scene: the class of each nucleus id, and what to paint, back to front."""

    def __init__(self) -> None:
        self.classes: list[int] = [0]
        """Class of each id; entry 0 is background."""
        self.cytoplasm: list[Blob] = []
        self.nuclei: list[Blob] = []
        self.overlays: list[Blob] = []
        """Nucleoli: painted last, without a label."""

    def new(self, cell_type: CellType) -> int:
        """The id of a new nucleus of this type."""
        self.classes.append(int(cell_type))
        return len(self.classes) - 1


def add_immune(
    cast: Cast, random: RandomStream, chromatin: float, x: float, y: float, cell_type: CellType
) -> None:
    """Add one inflammatory cell centred at (x, y) px; `chromatin` scales its haematoxylin."""
    _IMMUNE[cell_type](cast, random, chromatin, x, y)


def _add_lymphocyte(cast: Cast, random: RandomStream, chromatin: float, x: float, y: float) -> None:
    sin, cos = random.direction()
    a = px(random.normal(LYMPHOCYTE_RADIUS_UM, LYMPHOCYTE_RADIUS_SD_UM))
    rim = px(LYMPHOCYTE_RIM_UM)
    cast.cytoplasm.append(
        Blob(
            0,
            x,
            y,
            a + rim,
            a + 0.75 * rim,
            sin,
            cos,
            0.10,
            0.10,
            keep=0.5,
            softness=1.6,
            lump=0.05,
        )
    )
    nucleus = Blob(
        cast.new(CellType.LYMPHOCYTE), x, y, a, a * random.uniform(0.72, 1.0), sin, cos,
        0.52 * chromatin * random.uniform(0.7, 1.25), 0.10,
        rim=0.10, chromatin=0.6, keep=0.2, lump=0.09,
    )  # fmt: skip
    cast.nuclei.append(nucleus)


def _add_plasma(cast: Cast, random: RandomStream, chromatin: float, x: float, y: float) -> None:
    """Eccentric nucleus with clock-face chromatin, purple cytoplasm and a pale hof between."""
    sin, cos = random.direction()
    a = px(random.normal(PLASMA_RADIUS_UM, PLASMA_RADIUS_SD_UM))
    shift, hof = a * 0.62, a * 1.02
    body = Blob(
        0, x + cos * shift, y + sin * shift, a * 1.75, a * 1.22, sin, cos,
        0.15 * random.uniform(0.6, 1.2), 0.17 * random.uniform(0.7, 1.2),
        chromatin=0.2, keep=0.4, softness=2.4, lump=0.09,
    )  # fmt: skip
    pale = Blob(
        0, x + cos * hof, y + sin * hof, a * 0.5, a * 0.6, sin, cos, 0.06, 0.08,
        keep=0.35, softness=3.0,
    )  # fmt: skip
    nucleus = Blob(
        cast.new(CellType.PLASMA), x, y, a * 0.98, a * random.uniform(0.85, 0.98), sin, cos,
        0.46 * chromatin * random.uniform(0.75, 1.25), 0.11,
        rim=0.28, chromatin=0.8, keep=0.2, lump=0.06,
    )  # fmt: skip
    cast.cytoplasm += [body, pale]
    cast.nuclei.append(nucleus)


def _add_eosinophil(cast: Cast, random: RandomStream, chromatin: float, x: float, y: float) -> None:
    """Two lobes, seldom one, in a cell full of red granules."""
    sin, cos = random.direction()
    radius = px(random.normal(EOSINOPHIL_RADIUS_UM, EOSINOPHIL_RADIUS_SD_UM))
    body = Blob(
        0, x, y, radius, radius * random.uniform(0.78, 1.0), sin, cos,
        0.03, 0.20 * random.uniform(0.8, 1.2), 0.20 * random.uniform(0.4, 1.2),
        chromatin=0.35, keep=0.3, softness=2.0, lump=0.1,
    )  # fmt: skip
    cast.cytoplasm.append(body)
    lobe = px(random.normal(EOSINOPHIL_LOBE_UM, EOSINOPHIL_LOBE_SD_UM))
    apart = lobe * random.uniform(0.78, 0.95)
    x -= sin * random.uniform(0.0, radius * 0.3)
    y += cos * random.uniform(0.0, radius * 0.3)
    label = cast.new(CellType.EOSINOPHIL)
    for side in (-1.0, 1.0) if random.chance(0.85) else (0.0,):
        nucleus = Blob(
            label, x + side * cos * apart, y + side * sin * apart,
            lobe, lobe * random.uniform(0.8, 1.0), sin, cos,
            0.44 * chromatin * random.uniform(0.8, 1.15), 0.13,
            rim=0.1, chromatin=0.35, keep=0.2, lump=0.05,
        )  # fmt: skip
        cast.nuclei.append(nucleus)


def _add_neutrophil(cast: Cast, random: RandomStream, chromatin: float, x: float, y: float) -> None:
    """Two to four small lobes on an arc in a faint cell."""
    sin, cos = random.direction()
    radius = px(random.normal(NEUTROPHIL_RADIUS_UM, NEUTROPHIL_RADIUS_SD_UM))
    body = Blob(
        0, x, y, radius, radius * random.uniform(0.8, 1.0), sin, cos,
        0.02, 0.10 * random.uniform(0.6, 1.2), 0.02,
        chromatin=0.2, keep=0.4, softness=1.8, lump=0.06,
    )  # fmt: skip
    cast.cytoplasm.append(body)
    lobe = px(random.normal(NEUTROPHIL_LOBE_UM, NEUTROPHIL_LOBE_SD_UM))
    lobes = random.choice((2, 3, 4), (0.15, 0.55, 0.30))
    arc, start, step = radius * 0.42, random.uniform(), random.uniform(0.19, 0.27)
    label = cast.new(CellType.NEUTROPHIL)
    for i in range(lobes):
        sin, cos = sincos(start + i * step)
        nucleus = Blob(
            label,
            x + cos * arc * random.uniform(0.8, 1.1), y + sin * arc * random.uniform(0.8, 1.1),
            lobe * random.uniform(0.85, 1.15), lobe * random.uniform(0.75, 1.0), cos, -sin,
            0.54 * chromatin * random.uniform(0.85, 1.15), 0.12,
            chromatin=0.25, keep=0.2, softness=1.2, lump=0.05,
        )  # fmt: skip
        cast.nuclei.append(nucleus)


_IMMUNE = {
    CellType.LYMPHOCYTE: _add_lymphocyte,
    CellType.PLASMA: _add_plasma,
    CellType.EOSINOPHIL: _add_eosinophil,
    CellType.NEUTROPHIL: _add_neutrophil,
}


def add_spindle(
    cast: Cast,
    random: RandomStream,
    chromatin: float,
    x: float,
    y: float,
    direction: tuple[float, float],
    *,
    width: float = 1.0,
    length: float = 1.0,
    cytoplasm: bool = True,
) -> None:
    """Add one connective-tissue cell at (x, y) px, long axis along `direction` (sin, cos)."""
    sin, cos = direction
    a = limit(random.normal(SPINDLE_LENGTH_UM, SPINDLE_LENGTH_SD_UM), *SPINDLE_LENGTH_RANGE_UM)
    b = max(random.normal(SPINDLE_WIDTH_UM, SPINDLE_WIDTH_SD_UM), SPINDLE_LEAST_WIDTH_UM)
    a, b = px(a) * length, px(b) * width
    if random.chance(0.35):
        a, b = a * 0.72, b * 1.5
    if random.chance(0.6) and cytoplasm:
        cast.cytoplasm.append(
            Blob(
                0, x, y, a * 2.0, b * 1.15, sin, cos, 0.03, 0.12, keep=0.8, softness=2.5, lump=0.04
            )
        )
    nucleus = Blob(
        cast.new(CellType.CONNECTIVE), x, y, a, b, sin, cos,
        0.34 * chromatin * random.uniform(0.55, 1.4), 0.11,
        rim=0.18, chromatin=0.6, keep=0.4, lump=0.14,
    )  # fmt: skip
    cast.nuclei.append(nucleus)


def erythrocyte(random: RandomStream, x: float, y: float) -> Blob:
    """One red cell at (x, y) px; it has no nucleus and no label."""
    sin, cos = random.direction()
    return Blob(
        0, x, y, px(random.normal(2.75, 0.27)), px(random.normal(2.3, 0.32)), sin, cos,
        0.0, 0.125, 0.195 * random.uniform(0.55, 1.2),
        rim=0.2, chromatin=0.1, keep=0.33, softness=1.4, lump=0.1,
    )  # fmt: skip


def jittered(
    random: RandomStream, direction: tuple[float, float], amount: float
) -> tuple[float, float]:
    """(sin, cos) of `direction` turned by about `amount` radians, or a random one if too short."""
    sin, cos = direction
    turn = random.normal(0.0, amount)
    x, y = cos - sin * turn, sin + cos * turn
    length = math.sqrt(x * x + y * y)
    if length < 0.5:
        return random.direction()
    return y / length, x / length


def mixture(random: RandomStream, shares: Sequence[float]) -> list[float]:
    """Shares of `STROMAL_TYPES` for one scene: the given ones, each times 0.5 to 1.5."""
    return [share * random.uniform(0.5, 1.5) for share in shares]
