"""Pixels on the model's grid: the mean over each pixel's area, whatever region is asked for."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slide_pictures import Pixels, halved, noise, write_pyramid

from cerberus_bench.slides.array_reader import ArrayReader
from cerberus_bench.slides.grid import Box, WorkGrid
from cerberus_bench.slides.pixels import GridPixels, disjoint
from cerberus_bench.slides.reader import open_slide

PICTURE = noise(203, 307)


def grid_of(mpp: float, model_mpp: float = 0.5) -> WorkGrid:
    return WorkGrid.of((307, 203), mpp, model_mpp)


def read(picture: Pixels, grid: WorkGrid, box: Box) -> Pixels:
    return GridPixels(ArrayReader(picture, 0.5), grid).read([box]).pixels


def slow(picture: Pixels, grid: WorkGrid) -> np.ndarray:
    """Mean over the area of each pixel of the grid by exact overlaps, white outside."""

    def overlaps(n: int, length: int) -> np.ndarray:
        begin = np.arange(n)[:, None] * grid.factor
        at = np.arange(length + 100)[None]
        return np.clip(np.minimum(begin + grid.factor, at + 1) - np.maximum(begin, at), 0, None)

    padded = np.pad(picture.astype(float), ((0, 100), (0, 100), (0, 0)), constant_values=255)
    rows, columns = overlaps(grid.height, 203), overlaps(grid.width, 307)
    return np.einsum("yi,xj,ijc->yxc", rows, columns, padded, optimize=True) / grid.factor**2


@pytest.mark.parametrize("mpp", [0.25, 0.125, 0.2, 0.31, 0.7])
def test_each_pixel_is_the_mean_over_its_area(mpp: float) -> None:
    grid = grid_of(mpp)
    found = read(PICTURE, grid, grid.box)
    assert found.shape == (grid.height, grid.width, 3)
    assert np.abs(found - slow(PICTURE, grid)).max() <= 0.51


def test_equal_resolutions_are_not_resampled() -> None:
    for mpp in (0.5, 0.499, 0.504):
        np.testing.assert_array_equal(read(PICTURE, grid_of(mpp), Box(0, 0, 203, 307)), PICTURE)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([0.5, 0.25, 0.17, 0.6]),
    st.integers(-30, 120),
    st.integers(-30, 120),
    st.integers(1, 150),
    st.integers(1, 150),
)
def test_a_pixel_does_not_depend_on_its_region(
    mpp: float, y: int, x: int, height: int, width: int
) -> None:
    grid = grid_of(mpp)
    box = Box(y, x, y + height, x + width)
    expected = np.full((height, width, 3), 255, np.uint8)
    inside = box.meet(grid.box)
    if inside.area:
        expected[inside.within(box)] = read(PICTURE, grid, grid.box)[inside.within(grid.box)]
    np.testing.assert_array_equal(read(PICTURE, grid, box), expected)


def test_memory_bound_does_not_change_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    grids = [grid_of(mpp) for mpp in (0.5, 0.25, 0.17)]
    whole = [read(PICTURE, grid, grid.box) for grid in grids]
    monkeypatch.setattr("cerberus_bench.slides.pixels.BAND_PX", 5000)
    for grid, pixels in zip(grids, whole, strict=True):
        np.testing.assert_array_equal(read(PICTURE, grid, grid.box), pixels)


def test_the_coarsest_sufficient_level_is_read(tmp_path: Path) -> None:
    """At 0.25 mpp: a model at 0.5 reads level 1, one at 1.1 reads level 2 and averages a little."""
    slide = open_slide(write_pyramid(tmp_path / "a.tif", noise(1024, 1024), 0.25))
    downsamples = [level.downsample for level in slide.levels]
    half = WorkGrid.of(slide.size_px, 0.25, 0.5, downsamples)
    pixels = GridPixels(slide, half)
    found = pixels.read([Box(0, 0, 100, 200)])
    np.testing.assert_array_equal(found.pixels, halved(noise(1024, 1024))[:100, :200])
    assert (found.px_read, pixels.px_per_px) == (100 * 200, 1.0)
    near = WorkGrid.of(slide.size_px, 0.2525, 0.5, downsamples)
    assert near.factor == 2.0, "level 1 has 0.505, within 1 %"
    coarse = GridPixels(slide, WorkGrid.of(slide.size_px, 0.25, 1.1, downsamples))
    assert coarse.read([Box(0, 0, 10, 10)]).px_read == 11 * 11


def test_overlapping_boxes_are_read_once() -> None:
    """Two windows of 40 px that share 8 columns, one apart, one beyond the slide."""
    grid = grid_of(0.5)
    boxes = [Box(0, 0, 40, 40), Box(0, 32, 40, 72), Box(100, 0, 140, 40), Box(190, -20, 230, 20)]
    region = GridPixels(ArrayReader(PICTURE, 0.5), grid).read(boxes)
    assert region.box == Box(0, -20, 230, 72)
    assert region.px_read == 40 * 72 + 40 * 40 + 13 * 20
    for box in boxes:
        inside = box.meet(grid.box)
        np.testing.assert_array_equal(
            region.pixels[inside.within(region.box)], PICTURE[inside.within(grid.box)]
        )
    assert (region.pixels[region.box.height - 27 :] == 255).all()


@given(
    st.lists(
        st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(0, 15)] * 2).map(
            lambda b: Box(b[0], b[1], b[0] + b[2], b[1] + b[3])
        ),
        max_size=6,
    )
)
def test_disjoint_boxes_cover_the_same(boxes: list[Box]) -> None:
    wanted, found = np.zeros((2, 50, 50), int)
    frame = Box(0, 0, 50, 50)
    for box in boxes:
        wanted[box.within(frame)] = 1
    for box in disjoint(boxes):
        found[box.within(frame)] += 1
    np.testing.assert_array_equal(found, wanted)
