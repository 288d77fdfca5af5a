"""The picture of the phantom in the documentation: scenes, half outlined, above the nine tissues.

To rebuild it:

    python -m cerberus_bench.loaders.phantom.sheet docs/pictures/phantom.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerberus_bench.loaders.phantom.scene import (
    Scene,
    mucosa_scene,
    signet_ring_scene,
    tissue_patch,
)
from cerberus_bench.loaders.phantom.source import SPEC
from cerberus_bench.loaders.phantom.units import Labels, Mask
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import ONTOLOGY

_MUCOSA = (308, 334, 330, 352, 314)
_SIGNET = 38
_PATCHES = tuple(range(756, 765))
_SCENE_PX = 414
_COLUMNS = 3
_PLAIN_SHARE = 0.4
"""Part of each scene, from the left, that is shown without outlines."""

_COLOURS = 128
_LUMEN = "#101010"
_GLAND_LINE_PX = 2


def draw_sheet() -> NDArray[np.uint8]:
    """The whole picture, RGB uint8."""
    scenes = [mucosa_scene(index) for index in _MUCOSA] + [signet_ring_scene(_SIGNET)]
    tiles = [_middle(outlined(scene), _SCENE_PX) for scene in scenes]
    patch_px = _COLUMNS * _SCENE_PX // len(_PATCHES)
    patches = [_middle(tissue_patch(index).image, patch_px) for index in _PATCHES]
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack([*rows, np.hstack(patches)])


def outlined(scene: Scene) -> NDArray[np.uint8]:
    """The image of a scene with nuclei and glands outlined by class, lumina and boxes in black."""
    drawn = scene.image.copy()
    _outline(drawn, scene.nuclei, _class_colours("nuclei", scene.nuclei_classes), 1)
    _outline(drawn, scene.gland, _class_colours("gland", scene.gland_classes), _GLAND_LINE_PX)
    _outline(drawn, scene.lumen, [_LUMEN] * int(scene.lumen.max(initial=0)), _GLAND_LINE_PX)
    for x0, y0, x1, y1 in np.floor(scene.signet_ring).astype(int).tolist():
        _frame(drawn, x0, y0, x1, y1)
    plain = int((scene.image.shape[1] - _SCENE_PX) / 2 + _PLAIN_SHARE * _SCENE_PX)
    drawn[:, :plain] = scene.image[:, :plain]
    drawn[:, plain : plain + 2] = 255
    return drawn


def _class_colours(task: str, classes: NDArray[np.int64]) -> list[str]:
    names = SPEC.label_maps[task].space.classes
    return [ONTOLOGY[task][names[index - 1]].colour for index in classes.tolist()]


def _outline(
    drawn: NDArray[np.uint8], labels: Labels, colours: Sequence[str], thickness: int
) -> None:
    table = np.array([_rgb("#000000"), *map(_rgb, colours)], np.uint8)
    border = _border(labels)
    for _ in range(thickness - 1):
        border |= _border(np.where(border, 0, labels))
    border &= labels > 0
    drawn[border] = table[labels[border]]


def _border(labels: Labels) -> Mask:
    """Pixels whose right, left, upper or lower neighbour has another id."""
    border = np.zeros(labels.shape, np.bool_)
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    return border


def _frame(drawn: NDArray[np.uint8], x0: int, y0: int, x1: int, y1: int) -> None:
    colour = _rgb(_LUMEN)
    last_row, last_column = drawn.shape[0] - 1, drawn.shape[1] - 1
    for row in (y0, min(y1, last_row)):
        drawn[row, x0 : x1 + 1] = colour
    for column in (x0, min(x1, last_column)):
        drawn[y0 : y1 + 1, column] = colour


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _middle(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    start = (image.shape[0] - side) // 2
    return image[start : start + side, start : start + side]


def write_sheet(path: Path) -> None:
    """Write the picture as a PNG of 128 colours, whole or not at all.

    Raises:
        DataError: the folder does not exist.
    """
    from PIL import Image

    if not path.parent.is_dir():
        raise DataError(f"{path.parent} is not a folder; make it and run this again")
    palette = Image.fromarray(draw_sheet()).quantize(_COLOURS, dither=Image.Dither.NONE)
    partial = path.with_name(f".{path.name}.partial")
    palette.save(partial, format="PNG", optimize=True)
    partial.replace(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m cerberus_bench.loaders.phantom.sheet OUT.png")
    write_sheet(Path(sys.argv[1]))
