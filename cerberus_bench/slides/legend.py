"""The panel beside a picture: what its colours mean, in numbers, and a bar of length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cerberus_bench.pictures.draw import Image, rgb

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

LINES_PER_SIDE = 85
"""Lines of text that would fill the longer side of the picture."""
FONT_PX = (12, 28)
"""Least and greatest size of the text."""
WIDTH_LINES = 17
"""Width of the panel, in heights of a line."""
INK, WHITE = (33, 37, 41), 255


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a legend."""

    text: str
    value: str = ""
    """Written at the right."""
    colour: str | None = None
    """Of the square before the text, #rrggbb."""
    is_heading: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A length on the picture."""

    length_px: int
    text: str


def length_bar(um_per_px: float, most_px: float) -> Bar:
    """The longest round length (1, 2 or 5 times a power of ten um) of at most `most_px`."""
    most_um = um_per_px * most_px
    power = 10.0 ** np.floor(np.log10(most_um))
    um = power * max(step for step in (1, 2, 5) if step * power <= most_um)
    text = f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} um"
    return Bar(round(um / um_per_px), text)


def beside(picture: Image, lines: Sequence[Line], um_per_px: float) -> Image:
    """The picture on white with the lines and a bar of length on its right."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    size = int(np.clip(max(picture.shape[:2]) // LINES_PER_SIDE, *FONT_PX))
    step = round(1.5 * size)
    width = WIDTH_LINES * step
    height = max(picture.shape[0], (len(lines) + 6) * step)
    sheet = np.full((height, picture.shape[1] + width, 3), WHITE, np.uint8)
    sheet[: picture.shape[0], : picture.shape[1]] = picture
    canvas = Pillow.fromarray(sheet)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size)
    left, right = picture.shape[1] + step, picture.shape[1] + width - step
    y = step
    for line in lines:
        y += step // 2 if line.is_heading else 0
        _write(pen, font, line, (left, y, right), size)
        y += step
    bar = length_bar(um_per_px, right - left)
    pen.rectangle((left, y + step, left + bar.length_px, y + step + size // 4), fill=INK)
    pen.text((left, y + step + size // 2), bar.text, fill=INK, font=font)
    return np.asarray(canvas)


def _write(
    pen: "ImageDraw",
    font: "FreeTypeFont | ImageFont",
    line: Line,
    place: tuple[int, int, int],
    size: int,
) -> None:
    left, y, right = place
    if line.colour is not None:
        pen.rectangle((left, y + size // 8, left + size, y + size // 8 + size), rgb(line.colour))
        left += round(1.5 * size)
    value_px = pen.textlength(line.value, font=font)
    text = _fitted(pen, font, line.text, right - left - value_px - size)
    pen.text(
        (left, y), text, fill=INK, font=font, stroke_width=size // 24 if line.is_heading else 0
    )
    pen.text((right - value_px, y), line.value, fill=INK, font=font)


def _fitted(pen: "ImageDraw", font: "FreeTypeFont | ImageFont", text: str, width: float) -> str:
    """The text, its end replaced by dots where it is too wide."""
    if pen.textlength(text, font=font) <= width:
        return text
    while text and pen.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text + "…"
