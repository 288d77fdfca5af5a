"""A picture of the whole slide that shows at once what was found on it.

The slide is greyed and lightened so that the colours of classes stand out. Glands and lumina are
outlined. Nuclei are outlined where the picture is fine enough to show them one by one; else each
place takes the colour of its most frequent class, the stronger the more nuclei there are.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cerberus_bench.pictures.draw import Image, outline, rgb
from cerberus_bench.pictures.overlay import class_colour
from cerberus_bench.pictures.wording import class_name, task_name
from cerberus_bench.schema.files import whole
from cerberus_bench.schema.record import check_image
from cerberus_bench.schema.resample import resize_nearest
from cerberus_bench.slides.facts import SlideFacts
from cerberus_bench.slides.geoparquet import iter_objects, read_facts
from cerberus_bench.slides.legend import Line, beside
from cerberus_bench.slides.objects import rings_of

NUCLEUS_UM = 7
OUTLINED_FROM_PX = 6
"""Nuclei are outlined where one of `NUCLEUS_UM` is at least so wide."""
LEAST_PER_MM2, FULL_PER_MM2 = 50, 8_000
"""Densities of nuclei from which on they are shown, and at which their colour is strongest."""
OPACITY = (0.25, 0.8)
"""Of the colour at these densities."""
BLUR_PX = 2.0
"""Standard deviation of the kernel over which nuclei are counted."""
LINE_PX = {"gland": 2, "lumen": 1, "nuclei": 1}
"""Tasks that are outlined, back to front, with the width of their lines."""
MASK_COLOUR = "#e8590c"
GREY, LIGHT = 0.7, 0.35
"""How far the slide is moved towards grey, then towards white."""

_SUBPIXEL_BITS = 3
_COLUMNS = ("task", "class", "x", "y", "geometry")

Kind = tuple[str, str | None]
"""Task and class."""


def write_overlay(
    objects: Path, thumbnail: Image, path: Path, mask: NDArray[np.bool_] | None = None
) -> None:
    """Write the picture of `draw_overlay` as PNG; it appears when it is complete."""
    from PIL import Image as Pillow

    picture = draw_overlay(objects, thumbnail, mask)
    with whole(path) as part:
        Pillow.fromarray(picture).save(part, "PNG")


def draw_overlay(objects: Path, thumbnail: Image, mask: NDArray[np.bool_] | None = None) -> Image:
    """The whole slide with its objects, and a legend on the right.

    Args:
        objects: a file of `write_objects`.
        thumbnail: (H, W, 3) the whole slide; some 2400 px on the longer side show most.
        mask: (h, w) of the whole slide, true where the model looked.

    Raises:
        DataError: `objects` is damaged or of another kind, or `thumbnail` or `mask` has other
            proportions than the slide.
    """
    facts = read_facts(objects)
    check_image(thumbnail, "thumbnail")
    facts.check_whole(thumbnail.shape, "picture")
    picture = _faded(thumbnail)
    if mask is not None:
        facts.check_whole(mask.shape, "tissue mask")
        looked_at = resize_nearest(mask, picture.shape[:2]).astype(np.uint8)
        picture = outline(picture, looked_at, MASK_COLOUR, thickness=2)
    found = _Found(facts, thumbnail.shape)
    for rows in iter_objects(objects, columns=_COLUMNS):
        found.add(rows)
    lines = [*found.legend()]
    if mask is not None:
        lines.append(Line("Border of the tissue", colour=MASK_COLOUR, is_heading=True))
    return beside(found.painted(picture), lines, found.um_per_px)


class _Found:
    """What is to be drawn: outlines, and the density of nuclei where they are too small."""

    def __init__(self, facts: SlideFacts, shape: tuple[int, ...]) -> None:
        self._facts = facts
        self._shape = shape[:2]
        self._scale = np.array([shape[1] / facts.width, shape[0] / facts.height])
        self.um_per_px = facts.mpp_x / float(self._scale[0])
        self._is_fine = NUCLEUS_UM / self.um_per_px >= OUTLINED_FROM_PX
        self._outlines: dict[Kind, list[NDArray[np.int32]]] = {}
        self._density: dict[str | None, NDArray[np.float32]] = {}
        self._counts: dict[Kind, int] = {}

    def add(self, rows: pa.Table) -> None:
        for kind, some in _by_kind(rows):
            self._counts[kind] = self._counts.get(kind, 0) + len(some)
            if kind[0] == "nuclei" and not self._is_fine:
                self._add_density(kind[1], some)
            else:
                self._outlines.setdefault(kind, []).extend(self._polygons(some))

    def _add_density(self, name: str | None, rows: pa.Table) -> None:
        xy = np.stack([rows["x"].to_numpy(), rows["y"].to_numpy()], axis=1)
        column, row = np.minimum((xy * self._scale).astype(int), np.array(self._shape[::-1]) - 1).T
        plane = self._density.setdefault(name, np.zeros(self._shape, np.float32))
        np.add.at(plane, (row, column), 1)

    def _polygons(self, rows: pa.Table) -> list[NDArray[np.int32]]:
        vertices, ends = rings_of(rows["geometry"])
        # OpenCV counts from the centre of pixel 0, we count from its corner
        fixed = (vertices * self._scale - 0.5) * 2**_SUBPIXEL_BITS
        return np.split(np.rint(fixed).astype(np.int32), ends[:-1])

    def painted(self, picture: Image) -> Image:
        """The picture with all that was added."""
        picture = self._tinted(picture) if self._density else picture.copy()
        for task, width in LINE_PX.items():
            for kind in sorted((k for k in self._outlines if k[0] == task), key=str):
                line = (True, rgb(class_colour(*kind)), width, cv2.LINE_AA, _SUBPIXEL_BITS)
                cv2.polylines(picture, self._outlines[kind], *line)
        return picture

    def _tinted(self, picture: Image) -> Image:
        names = sorted(self._density, key=str)
        planes = np.stack([cv2.GaussianBlur(self._density[n], (0, 0), BLUR_PX) for n in names])
        colours = np.array([rgb(class_colour("nuclei", name)) for name in names], np.float32)
        per_mm2 = planes.sum(axis=0) / (self.um_per_px / 1000) ** 2
        opacity = np.interp(per_mm2, (LEAST_PER_MM2, FULL_PER_MM2), OPACITY, left=0)
        tint = colours[planes.argmax(axis=0)] - picture
        return np.asarray(np.rint(picture + opacity[..., None] * tint), np.uint8)

    def legend(self) -> Iterator[Line]:
        """What the colours mean, and how many objects there are."""
        facts = self._facts
        width_mm, height_mm = facts.width * facts.mpp_x / 1000, facts.height * facts.mpp_y / 1000
        yield Line(facts.name, is_heading=True)
        yield Line(f"{width_mm:.1f} x {height_mm:.1f} mm, {facts.mpp_x:.3g} um/px")
        yield Line(f"model {facts.model}")
        for task in (task for task in reversed(LINE_PX) if task in facts.label_spaces):
            kinds = sorted((k for k in self._counts if k[0] == task), key=str)
            total = sum(self._counts[kind] for kind in kinds)
            yield Line(task_name(task), f"{total:,}", is_heading=True)
            for kind in kinds:
                name = class_name(task, kind[1]) if kind[1] else "no class"
                yield Line(name, f"{self._counts[kind]:,}", class_colour(*kind))
            if task == "nuclei" and self._density:
                yield Line(f"Most frequent class, full at {FULL_PER_MM2:,} per mm2")


def _by_kind(rows: pa.Table) -> Iterator[tuple[Kind, pa.Table]]:
    """The rows of each task and class."""
    codes = [pc.fill_null(rows[c].combine_chunks().indices, -1).to_numpy() for c in _COLUMNS[:2]]
    for pair in np.unique(np.stack(codes, axis=1), axis=0).tolist():
        some = rows.filter(pa.array((codes[0] == pair[0]) & (codes[1] == pair[1])))
        yield (some["task"][0].as_py(), some["class"][0].as_py()), some


def _faded(image: Image) -> Image:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    faded = image + GREY * (grey - image)
    return np.asarray(np.rint(faded + LIGHT * (255 - faded)), np.uint8)
