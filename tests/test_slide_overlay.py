"""The picture of a slide with what was found on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image
from slide_objects import SPACES, facts

from cerberus_bench.pictures.draw import rgb
from cerberus_bench.pictures.overlay import class_colour
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.geoparquet import write_objects
from cerberus_bench.slides.legend import length_bar
from cerberus_bench.slides.objects import object_table
from cerberus_bench.slides.overlay import MASK_COLOUR, draw_overlay, write_overlay

EPITHELIAL, LYMPHOCYTE = 2, 3


def squares(task: str, boxes: Sequence[tuple[int, int, int]], index: int = 1) -> pa.Table:
    """Squares x, y, side in level-0 px, between the centres of px."""
    n = len(boxes)
    corners = [
        np.array([(x, y), (x + s, y), (x + s, y + s), (x, y + s)]) + 0.5 for x, y, s in boxes
    ]
    centres = np.array([(x + s / 2, y + s / 2) for x, y, s in boxes])
    one = np.ones(n)
    return object_table(SPACES[task], np.full(n, index), one, one, centres, corners)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One gland, its lumen, a crowd of epithelial nuclei with one lymphocyte, one lymphocyte."""
    crowd = [(3000 + 40 * i, 1000 + 40 * j, 20) for i in range(20) for j in range(20)]
    tables = [
        squares("gland", [(400, 400, 800)]),
        squares("lumen", [(700, 700, 200)]),
        squares("nuclei", crowd, EPITHELIAL),
        squares("nuclei", [(3400, 1420, 20), (1000, 3000, 20)], LYMPHOCYTE),
    ]
    path = tmp_path_factory.mktemp("slide") / "objects.parquet"
    write_objects(tables, path, slide=facts())
    return path


def pixels_of(picture: NDArray[np.uint8], colour: str) -> NDArray[np.intp]:
    """(n, 2) x, y of the pixels that have exactly this colour."""
    y, x = np.nonzero((picture == np.array(rgb(colour))).all(axis=2))
    return np.stack([x, y], axis=1)


def pixels_like(picture: NDArray[np.uint8], colour: str) -> NDArray[np.intp]:
    """(n, 2) x, y of the pixels of a grey picture that are half way to this colour or more."""
    to_colour, to_grey = (
        np.abs(picture.astype(int) - np.array(other)).sum(axis=2)
        for other in (rgb(colour), picture[-1, -1])
    )
    y, x = np.nonzero(to_colour <= to_grey)
    return np.stack([x, y], axis=1)


def grey(width: int, height: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 200, np.uint8)


def test_small_nuclei_colour_places_by_their_class(objects: Path) -> None:
    picture = draw_overlay(objects, grey(520, 400))  # 2.5 um a px
    slide = picture[:400, :520].astype(int)
    empty = slide[390, 500]
    assert (empty > 200).all()  # lightened
    epithelial, lymphocyte = (
        np.array(rgb(class_colour("nuclei", c))) for c in ("epithelial", "lymphocyte")
    )
    crowd = slide[140, 340]
    assert np.abs(crowd - epithelial).sum() < np.abs(empty - epithelial).sum() / 2
    assert (slide[142, 341] - crowd <= 6).all()  # outvoted there
    alone = slide[301, 101]
    assert 0 < np.abs(alone - lymphocyte).sum() < np.abs(empty - lymphocyte).sum()
    assert (slide[200, 200] == empty).all()


@pytest.mark.parametrize("width", [520, 1300])
def test_glands_and_lumina_are_outlined(objects: Path, width: int) -> None:
    picture = draw_overlay(objects, grey(width, width * 40 // 52))[:, :width]
    scale = width / 5200
    for name, low, high in (("gland", 400, 1200), ("lumen", 700, 900)):
        drawn = pixels_like(picture, class_colour(name, name))
        near = (np.abs(drawn - 800 * scale) < (high - low) * scale).all(axis=1)
        drawn = drawn[near]
        assert len(drawn) > 3 * (high - low) * scale
        assert np.abs(drawn.min(axis=0) - low * scale).max() <= 2
        assert np.abs(drawn.max(axis=0) - high * scale).max() <= 2


def test_large_nuclei_are_outlined(objects: Path) -> None:
    picture = draw_overlay(objects, grey(2600, 2000))[:, :2600]  # 0.5 um a px
    drawn = pixels_like(picture, class_colour("nuclei", "lymphocyte"))
    drawn = drawn[drawn[:, 1] > 1000]
    assert drawn.min(axis=0).tolist() == [500, 1500]
    assert drawn.max(axis=0).tolist() == [510, 1510]
    assert 36 <= len(drawn) <= 80  # a line, not a square of 121 px


def test_the_border_of_the_tissue_is_drawn(objects: Path) -> None:
    mask = np.zeros((40, 52), bool)
    mask[10:30, 10:40] = True
    picture = draw_overlay(objects, grey(520, 400), mask)[:, :520]
    drawn = pixels_of(picture, MASK_COLOUR)
    assert drawn.min(axis=0).tolist() == [100, 100]
    assert drawn.max(axis=0).tolist() == [399, 299]
    assert not len(pixels_of(draw_overlay(objects, grey(520, 400))[:, :520], MASK_COLOUR))


def test_the_legend_shows_what_there_is(objects: Path) -> None:
    legend = draw_overlay(objects, grey(520, 400))[:, 520:]
    kinds = [
        ("nuclei", "epithelial"),
        ("nuclei", "lymphocyte"),
        ("gland", "gland"),
        ("lumen", "lumen"),
    ]
    squares = [pixels_of(legend, class_colour(*kind)) for kind in kinds]
    sides = [np.ptp(square, axis=0).tolist() for square in squares[:3]]
    assert sides[0] == sides[1] == sides[2] > [8, 8]
    tops = [square[:, 1].min() for square in squares[:2]]
    assert tops[0] < tops[1]
    assert not len(pixels_of(legend, class_colour("nuclei", "neutrophil")))


def test_files_repeat_byte_for_byte(objects: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_overlay(objects, grey(520, 400), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    expected = draw_overlay(objects, grey(520, 400))
    assert (np.asarray(Image.open(tmp_path / "a.png")) == expected).all()


def test_a_slide_without_objects_is_shown(tmp_path: Path) -> None:
    write_objects([], tmp_path / "objects.parquet", slide=facts())
    assert draw_overlay(tmp_path / "objects.parquet", grey(104, 80)).shape[1] > 104


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((grey(520, 300),), "picture of 520 x 300"),
        ((grey(520, 400), np.ones((40, 40), bool)), "tissue mask of 40 x 40"),
    ],
)
def test_pictures_of_a_part_are_refused(objects: Path, arguments: Any, what: str) -> None:
    with pytest.raises(DataError, match=f"{what} px is not the whole of toy"):
        draw_overlay(objects, *arguments)


@pytest.mark.parametrize(
    ("um_per_px", "most_px", "length_px", "text"),
    [
        (0.5, 450, 400, "200 um"),
        (10, 300, 200, "2 mm"),
        (1, 999, 500, "500 um"),
        (4, 250, 250, "1 mm"),
    ],
)
def test_bars_have_round_lengths(
    um_per_px: float, most_px: float, length_px: int, text: str
) -> None:
    bar = length_bar(um_per_px, most_px)
    assert (bar.length_px, bar.text) == (length_px, text)
