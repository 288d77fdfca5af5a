"""Tissue is found, glass is not, and a mask of the user's own comes first."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from slide_pictures import Pixels, glass, halved, scene, write_pyramid
from source_helpers import real

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.array_reader import ArrayReader
from cerberus_bench.slides.grid import Box, WorkGrid
from cerberus_bench.slides.reader import open_slide
from cerberus_bench.slides.tissue import (
    Overview,
    TissueCounts,
    find_tissue,
    overview,
    read_mask,
    thumbnail,
)


def with_islands() -> Pixels:
    slide = glass(1600, 2000)
    slide[200:712, 300:812] = scene(0)
    slide[1000:1512, 1400:1912] = scene(3)
    return slide


def of(pixels: Pixels, mpp: float = 8.0) -> np.ndarray:
    return find_tissue(Overview(pixels, mpp, 0))


def test_tissue_is_found_and_glass_is_not() -> None:
    slide = with_islands()
    picture = overview(ArrayReader(slide, 0.5))
    assert (picture.mpp, picture.px_read) == (0.5, slide.shape[0] * slide.shape[1])
    mask = find_tissue(picture)
    assert mask.shape == (100, 125)
    assert mask[13:44, 19:50].all(), "the first island, 512 px = 32 px of the mask"
    assert mask[63:94, 88:119].all()
    near = np.zeros_like(mask)
    near[6:52, 12:58] = near[56:100, 81:125] = True
    assert not (mask & ~near).any()
    np.testing.assert_array_equal(mask, find_tissue(overview(ArrayReader(slide, 0.5))))


def test_glass_has_no_tissue() -> None:
    assert not find_tissue(overview(ArrayReader(glass(900, 700), 0.5))).any()
    assert not of(np.zeros((50, 40, 3), np.uint8)).any()
    assert not of(np.full((1, 1, 3), 240, np.uint8)).any()


def test_tissue_without_glass_is_all_tissue() -> None:
    assert find_tissue(overview(ArrayReader(scene(0), 0.5))).mean() > 0.98


def test_holes_specks_and_margins() -> None:
    """At 8 mpp: a hole of 0.4 mm2 is filled, one of 1.4 mm2 is not; dust of 2 px is dropped."""
    pink, slide = (200, 100, 150), np.full((500, 800, 3), 242, np.uint8)
    slide[100:220, 100:220] = pink
    slide[120:200, 120:200] = 242
    slide[250:450, 300:500] = pink
    slide[300:448, 302:450] = 242
    slide[50:52, 700:702] = pink
    mask = of(slide)
    assert mask[100:220, 100:220].all()
    assert not mask[320:430, 325:430].any()
    assert not mask[:90, 600:].any()
    assert mask[95:100, 110:210].all(), "40 um = 5 px more at each side"
    assert not mask[:94].any()


def test_a_coarse_level_is_cheaper_than_the_first(tmp_path: Path) -> None:
    slide = with_islands()
    path = write_pyramid(tmp_path / "a.tif", slide, 0.5, levels=5)
    picture = overview(open_slide(path))
    assert picture.mpp == pytest.approx(1), "the first level of these that is not level 0"
    assert picture.px_read <= 800 * 1000 + 128 * 1800, "in whole cells"
    expected = find_tissue(overview(ArrayReader(slide, 0.5)))
    assert (find_tissue(picture) != expected).mean() < 0.01


def test_the_preview_is_taken_where_it_shows_the_whole_slide() -> None:
    slide = with_islands()
    small = halved(halved(halved(slide)))
    taken = overview(ArrayReader(slide, 0.5, preview=small))
    assert (taken.mpp, taken.px_read) == (4.0, 0)
    assert taken.pixels is small
    for other in (small[:, :200], halved(halved(halved(halved(small))))):
        assert overview(ArrayReader(slide, 0.5, preview=other)).px_read > 0


def test_a_mask_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([[0, 1], [255, 0]], np.uint8)).save(path)
    np.testing.assert_array_equal(read_mask(path), [[False, True], [True, False]])
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(path)
    with pytest.raises(DataError, match=r"mask.png.*one channel"):
        read_mask(path)
    with pytest.raises(DataError, match="not a readable mask"):
        read_mask(tmp_path / "absent.png")


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.tuples(*[st.integers(-20, 110)] * 2, *[st.integers(1, 60)] * 2),
    st.sampled_from([1.0, 2.0, 1.7]),
    st.integers(0, 5),
)
def test_boxes_that_meet_tissue(
    rows: int, columns: int, at: tuple[int, int, int, int], factor: float, seed: int
) -> None:
    """Against every mask pixel in turn: it covers an equal share of the slide."""
    grid = WorkGrid(100, 80, factor)
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.1
    box = Box(at[0], at[1], at[0] + at[2], at[1] + at[3])
    inside = box.meet(grid.box)
    inner = outer = False
    for row, column in np.argwhere(mask).tolist() if inside.area else []:
        overlaps = (
            min((row + 1) * 80 / rows, inside.y1 * factor)
            - max(row * 80 / rows, inside.y0 * factor),
            min((column + 1) * 100 / columns, inside.x1 * factor)
            - max(column * 100 / columns, inside.x0 * factor),
        )
        inner |= min(overlaps) > 1e-9
        outer |= min(overlaps) > -1e-9
    found = TissueCounts(mask, grid).meets(box)
    assert inner <= found <= outer, "rounding may at most add what touches"


def test_pictures_of_large_slides_are_at_8_mpp_and_thumbnails_no_larger_than_shown() -> None:
    """50,000 px at 0.25 mpp would be 1,563 px at 8 mpp; 100,000 px are 3,125."""
    assert overview(ArrayReader(glass(100, 50_000), 0.25)).pixels.shape[1] == 2400
    large = overview(ArrayReader(glass(10, 100_000), 0.25))
    assert (large.mpp, large.pixels.shape) == (8.0, (1, 3125, 3))
    assert thumbnail(Overview(glass(100, 4800), 8.0, 0)).shape == (50, 2400, 3)
    assert thumbnail(Overview(glass(100, 50), 8.0, 0)).shape == (100, 50, 3)


def test_tissue_of_a_real_slide() -> None:
    picture = overview(open_slide(real("wsi/CMU-1-Small-Region.svs")))
    assert picture.px_read == 0
    mask = find_tissue(picture)
    assert mask.shape == (185, 138), "8 mpp"
    assert 0.45 < mask.mean() < 0.6
    assert mask[66, 31], "the thin strand"
    assert not mask[145, :22].any()
