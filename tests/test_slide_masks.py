"""Masks in tiles and bands, against the same operations on one array."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from cerberus_bench.model_zoo.instances import instance_table, pixel_outlines
from cerberus_bench.slides import masks
from cerberus_bench.slides.grid import Box
from cerberus_bench.slides.masks import TiledMask, fill_holes, grow, merged
from cerberus_bench.slides.outlines import outline

BOX = Box(490, 250, 560, 341)
"""Over four tiles."""


def speckled(seed: int) -> NDArray[np.uint8]:
    """Pieces of many forms: thin, with holes, inside holes, touching at corners."""
    noise = np.random.default_rng(seed).standard_normal((BOX.height, BOX.width))
    return (ndimage.gaussian_filter(noise, 0.5 + seed % 4) > 0).astype(np.uint8)


def tiled(pixels: NDArray[np.uint8], box: Box = BOX) -> TiledMask:
    mask = TiledMask(box)
    mask.put(box, pixels)
    return mask


def first_outline(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The outline of the object that is made of the mask, if any."""
    found = pixel_outlines(pixels, instance_table(pixels).starts_xy)
    return np.concatenate([np.zeros((0, 2)), *found]) + np.array([BOX.x0, BOX.y0])


@pytest.fixture(params=[91, 1000, 2**24], ids=["rows", "bands", "whole"])
def band_px(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(masks, "BAND_PX", request.param)
    return int(request.param)


def test_pixels_come_back() -> None:
    pixels = speckled(1)
    mask = tiled(pixels)
    part = Box(500, 240, 530, 270)  # its first 10 columns lie outside
    for _ in range(2):
        np.testing.assert_array_equal(mask.get(BOX), pixels)
        np.testing.assert_array_equal(mask.get(part)[:, 10:], pixels[10:40, :20])
        assert not mask.get(part)[:, :10].any()
        mask.compress()
    inner = Box(500, 300, 510, 310)
    mask.put(inner, np.ones((10, 10), bool))
    pixels[10:20, 50:60] = 1
    np.testing.assert_array_equal(mask.get(BOX), pixels)


@pytest.mark.parametrize("seed", range(4))
def test_sums(seed: int, band_px: int) -> None:
    pixels = speckled(seed)
    ys, xs = np.nonzero(pixels)
    area, x, y = tiled(pixels).sums()
    assert area == len(ys)
    assert (x, y) == pytest.approx((xs.mean() + BOX.x0, ys.mean() + BOX.y0), abs=1e-9)
    assert TiledMask(BOX).sums()[0] == 0


@pytest.mark.parametrize("seed", range(8))
def test_holes_are_filled(seed: int, band_px: int) -> None:
    pixels = speckled(seed)
    expected = ndimage.binary_fill_holes(pixels)
    np.testing.assert_array_equal(fill_holes(tiled(pixels)).get(BOX), expected)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_growing_is_dilating_and_filling_in_the_crop(size: int, band_px: int) -> None:
    pixels = speckled(3)
    kernel = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
    crop = Box(BOX.y0 - 7, BOX.x0, BOX.y1, BOX.x1 + 6)
    expected = cv2.dilate(np.pad(pixels, ((7, 0), (0, 6))), kernel)
    found = grow(tiled(pixels), crop, kernel)
    np.testing.assert_array_equal(found.get(crop), ndimage.binary_fill_holes(expected))


@pytest.mark.parametrize("seed", range(12))
def test_outline_is_that_of_the_object(seed: int, band_px: int) -> None:
    pixels = speckled(seed)
    np.testing.assert_array_equal(outline(tiled(pixels)), first_outline(pixels))
    pieces, _ = ndimage.label(pixels, np.ones((3, 3)))
    largest = (pieces == np.bincount(pieces[pieces > 0]).argmax()).astype(np.uint8)
    found = outline(tiled(largest))
    assert len(found) > 40
    np.testing.assert_array_equal(found, first_outline(largest))


@pytest.mark.parametrize(
    "lines", ["#", "##", "#.\n.#", "###\n#.#\n###", "#...#", "..#\n.#.\n#..", ".#.\n#.#"]
)
def test_small_outlines(lines: str, band_px: int) -> None:
    pixels = np.zeros((BOX.height, BOX.width), np.uint8)
    for y, line in enumerate(lines.splitlines()):
        pixels[8 + y, 3 : 3 + len(line)] = [letter == "#" for letter in line]
    np.testing.assert_array_equal(outline(tiled(pixels)), first_outline(pixels))


def test_empty_mask_has_no_outline(band_px: int) -> None:
    assert outline(TiledMask(BOX)).shape == (0, 2)


def test_linked_ids_are_one_set() -> None:
    """1-4 and 4-2 are linked, 3 is alone; sets are numbered by their lowest id."""
    links = [np.array([[1, 4]]), np.array([[4, 2]])]
    assert merged(5, links).tolist() == [0, 1, 1, 2, 1]
    assert merged(3, []).tolist() == [0, 1, 2]
