"""Contact sheets: many small images in one."""

from collections.abc import Sequence

import numpy as np

from cerberus_bench.pictures.draw import Image
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import check_image

GAP = 8
"""Space around each image, px."""
CAPTION_HEIGHT = 18
"""Height of a line of text below an image, px."""
FONT_SIZE = 12
MAX_CAPTION = 200
"""Characters of a caption that are looked at."""
WHITE = 255
INK = (33, 37, 41)


def contact_sheet(
    images: Sequence[Image], columns: int, captions: Sequence[str] | None = None
) -> Image:
    """Images in rows on white, each at its own size in a cell as large as the largest.

    Args:
        images: (H, W, 3) uint8 each, of any sizes.
        columns: images in a row, at least 1.
        captions: one line below each image, cut where it is too long.

    Raises:
        DataError: there is no image or column, or not one caption an image.
    """
    if not images or columns < 1:
        raise DataError(f"a contact sheet of {len(images)} images in {columns} columns is empty")
    if captions is not None and len(captions) != len(images):
        raise DataError(f"{len(captions)} captions for {len(images)} images; give one each")
    for index, image in enumerate(images):
        check_image(image, f"image {index}")
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    step_y = height + GAP + (CAPTION_HEIGHT if captions else 0)
    step_x = width + GAP
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = np.full((rows * step_y + GAP, columns * step_x + GAP, 3), WHITE, np.uint8)
    corners = [
        (GAP + i // columns * step_y, GAP + i % columns * step_x) for i in range(len(images))
    ]
    for image, (y, x) in zip(images, corners, strict=True):
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
    if captions:
        places = [(x, y + height) for y, x in corners]
        sheet = _write(sheet, captions, places, width)
    return sheet


def _write(
    sheet: Image, captions: Sequence[str], places: Sequence[tuple[int, int]], width: int
) -> Image:
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(FONT_SIZE)
    canvas = Pillow.fromarray(sheet)
    pen = ImageDraw.Draw(canvas)
    for caption, place in zip(captions, places, strict=True):
        line = " ".join(caption.split())[:MAX_CAPTION]
        while line and pen.textlength(line, font=font) > width:
            line = line[:-2].rstrip() + "…" if len(line) > 2 else ""
        pen.text((place[0], place[1] + 2), line, fill=INK, font=font)
    return np.asarray(canvas)
