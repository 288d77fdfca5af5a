"""Lattices cover every pixel of a slide once, whatever the slide's size and resolution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerberus_bench.model_zoo.tiling import Tiling
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.grid import (
    Box,
    WindowLattice,
    WorkGrid,
    blocks_of,
    check_shard_px,
    squares,
)


def test_resolutions_within_one_percent_are_the_same() -> None:
    same = WorkGrid.of((2220, 2967), 0.499, 0.5)
    assert (same.factor, same.width, same.height) == (1.0, 2220, 2967)
    twice = WorkGrid.of((1001, 2000), 0.25, 0.5)
    assert (twice.factor, twice.width, twice.height) == (2.0, 501, 1000)
    assert twice.half_shape == (500, 250)
    np.testing.assert_array_equal(twice.to_level0(np.array([[0.5, 3.0]])), [[1.0, 6.0]])
    coarse = WorkGrid.of((100, 10), 1.0, 0.5)
    assert (coarse.width, coarse.height) == (200, 20)
    assert WorkGrid.of((1, 1), 0.25, 0.5).box == Box(0, 0, 1, 1)


def test_boxes() -> None:
    box = Box(2, 3, 10, 7)
    assert (box.height, box.width, box.area) == (8, 4, 32)
    assert box.grown(1) == Box(1, 2, 11, 8)
    assert box.meet(Box(9, 0, 20, 20)) == Box(9, 3, 10, 7)
    assert box.meet(Box(10, 0, 20, 20)).area == 0
    assert Box(4, 4, 6, 5).within(box) == (slice(2, 4), slice(1, 2))


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([(64, 8), (64, 0), (48, 23), (96, 40)]),
)
def test_kept_boxes_cover_the_slide_once(height: int, width: int, sides: tuple[int, int]) -> None:
    grid = WorkGrid(width, height, 1.0)
    lattice = WindowLattice.of(Tiling(*sides))
    rows, columns = lattice.shape(grid)
    count = np.zeros((height, width), int)
    for row in range(rows):
        for column in range(columns):
            kept = lattice.kept(row, column)
            assert kept.y0 % 2 == kept.x0 % 2 == 0
            inside = kept.meet(grid.box)
            count[inside.within(grid.box)] += 1
    assert (count == 1).all()


def test_windows_that_meet_a_box() -> None:
    """Kept side 48: boxes begin at -24, 24, 72, ...; shards of 96 px end in window centres."""
    lattice = WindowLattice.of(Tiling(64, 8))
    assert (lattice.origin, lattice.kept(1, 0)) == (-24, Box(24, -24, 72, 24))
    rows, columns = lattice.meeting(Box(0, 24, 96, 72))
    assert (list(rows), list(columns)) == ([0, 1, 2], [1])


def test_shards_and_blocks_tile_the_slide() -> None:
    grid = WorkGrid(5000, 3000, 1.0)
    count = np.zeros((3000, 5000), np.uint8)
    for shard in squares(grid, 2048):
        for block in blocks_of(shard):
            count[block.within(grid.box)] += 1
    assert (count == 1).all()
    assert set(squares(grid, 1024)) == {b for s in squares(grid, 4096) for b in blocks_of(s)}
    for bad in (0, 1000, 1536):
        with pytest.raises(DataError, match="multiple of 1024"):
            check_shard_px(bad)
