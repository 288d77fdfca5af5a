"""Readers give the pixels that were written, whatever the file, the region and the thread."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from slide_pictures import halved, noise, write_aperio, write_ome, write_pyramid
from source_helpers import real

from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.array_reader import ArrayReader
from cerberus_bench.slides.reader import SlideReader, is_slide, levels_of, open_slide

PICTURE = noise(701, 903)


def written(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.tif"
    if kind == "aperio":
        return write_aperio(path, PICTURE)
    if kind == "pyramid":
        return write_pyramid(path, PICTURE)
    if kind == "ome":
        return write_ome(path, PICTURE, 500, "nm")
    tags = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    options = {"strips": {"compression": "zlib", "rowsperstrip": 100}, "plain": {}}[kind]
    tifffile.imwrite(path, PICTURE, photometric="rgb", metadata=None, **tags, **options)
    return path


KINDS = {
    "aperio": "openslide:aperio",
    "pyramid": "openslide:generic-tiff",
    "ome": "tifffile:ome",
    "strips": "tifffile",
    "plain": "tifffile",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_reader_gives_the_pixels_of_the_file(kind: str, tmp_path: Path) -> None:
    slide = open_slide(written(kind, tmp_path))
    assert (slide.name, slide.kind) == (kind, KINDS[kind])
    assert slide.size_px == (903, 701)
    assert slide.mpp == pytest.approx((0.5, 0.5))
    assert slide.levels[0].downsample == 1
    for x, y, width, height in [(0, 0, 903, 701), (250, 255, 10, 3), (902, 700, 1, 1)]:
        pixels = slide.read(x, y, width, height)
        np.testing.assert_array_equal(pixels, PICTURE[y : y + height, x : x + width])
    assert slide.preview() is None


def test_tifffile_alone_reads_a_pyramid(tmp_path: Path) -> None:
    from cerberus_bench.slides.tiff_reader import TiffReader

    slide = TiffReader(write_pyramid(tmp_path / "a.tif", PICTURE))
    assert [level.downsample for level in slide.levels] == [1, 2, 4]
    np.testing.assert_array_equal(slide.read(3, 200, 400, 100, 1), halved(PICTURE)[200:300, 3:403])


@pytest.mark.parametrize("kind", ["pyramid", "ome"])
def test_a_pixel_of_a_reduced_level_does_not_depend_on_its_region(
    kind: str, tmp_path: Path
) -> None:
    """Sides 701 and 903 halve to 350 and 451: OpenSlide's own downsample is 2.0026."""
    slide = open_slide(written(kind, tmp_path))
    level = slide.levels[1]
    assert (level.width, level.height, level.downsample) == (451, 350, 2)
    whole = slide.read(0, 0, level.width, level.height, 1)
    for x, y, width, height in [(1, 1, 300, 300), (127, 129, 2, 130), (450, 349, 1, 1)]:
        pixels = slide.read(x, y, width, height, 1)
        np.testing.assert_array_equal(pixels, whole[y : y + height, x : x + width])
    if kind == "ome":
        np.testing.assert_array_equal(whole, halved(PICTURE))


def test_whole_ratios_are_told_from_broken_ones() -> None:
    found = levels_of([(46000, 32914), (11500, 8228), (2875, 2057)])
    assert [level.downsample for level in found] == [1, 4, 16]
    assert levels_of([(1000, 1000), (400, 400)])[1].downsample == 2.5


def test_many_threads_read_one_slide(tmp_path: Path) -> None:
    for kind in ("aperio", "ome"):
        slide = open_slide(written(kind, tmp_path))
        corners = [(x, y) for x in range(0, 800, 53) for y in range(0, 600, 97)]
        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(lambda at: slide.read(*at, 100, 100), corners))  # noqa: B023
        for (x, y), part in zip(corners, parts, strict=True):
            np.testing.assert_array_equal(part, PICTURE[y : y + 100, x : x + 100])


def test_jpeg_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smooth = np.asarray(Image.fromarray(noise(8, 8)).resize((300, 300), Image.Resampling.BICUBIC))
    path = tmp_path / "jpeg.tif"
    tifffile.imwrite(path, smooth, photometric="rgb", tile=(128, 128), compression="jpeg")
    path_ome = tmp_path / "jpeg.ome.tif"
    tifffile.imwrite(path_ome, smooth, photometric="rgb", tile=(128, 128), compression="jpeg")
    for one in (path, path_ome):
        pixels = open_slide(one, 0.5).read(100, 50, 150, 150)
        error = np.abs(pixels.astype(int) - smooth[50:200, 100:250])
        assert error.mean() < 4
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(DataError, match=r"JPEG, which needs imagecodecs.*\[slides\]"):
        open_slide(path_ome, 0.5)


def stated(path: Path) -> tuple[float, float]:
    return open_slide(path).mpp


def test_resolution_is_found_where_it_is_stated(tmp_path: Path) -> None:
    small = PICTURE[:300, :300]
    assert stated(write_aperio(tmp_path / "a.svs", small, 0.2527)) == (0.2527, 0.2527)
    assert stated(write_ome(tmp_path / "o.tif", small, 0.25)) == (0.25, 0.25)
    assert stated(write_ome(tmp_path / "m.tif", small, 0.00025, "mm")) == (0.25, 0.25)
    assert stated(write_pyramid(tmp_path / "p.tif", small, 0.25)) == pytest.approx((0.25, 0.25))
    plain = tmp_path / "inch.tif"
    tifffile.imwrite(plain, small, photometric="rgb", resolution=(50800, 50800), resolutionunit=2)
    assert stated(plain) == pytest.approx((0.5, 0.5))


def test_a_slide_without_resolution_is_refused(tmp_path: Path) -> None:
    none = write_aperio(tmp_path / "none.svs", PICTURE, None)
    with pytest.raises(DataError, match=r"none.svs.*no resolution.*objective of 20x.*--mpp"):
        open_slide(none)
    assert open_slide(none, 0.25).mpp == (0.25, 0.25)
    printer = tmp_path / "printer.tif"
    tifffile.imwrite(printer, PICTURE, photometric="rgb", resolution=(72, 72), resolutionunit=2)
    with pytest.raises(DataError, match=r"352\.8 microns per pixel.*--mpp"):
        open_slide(printer)
    flat = tmp_path / "flat.tif"
    tifffile.imwrite(
        flat, PICTURE, photometric="rgb", resolution=(20000, 40000), resolutionunit="CENTIMETER"
    )
    with pytest.raises(DataError, match="not square"):
        open_slide(flat)
    with pytest.raises(DataError, match="no resolution"):
        open_slide(flat, -1)


@pytest.mark.parametrize("write", [write_aperio, write_pyramid, lambda p, a: write_ome(p, a, 0.5)])
def test_a_file_cut_short_is_told(write: Callable[..., Path], tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.tif", PICTURE)
    cut = tmp_path / "cut.tif"
    data = whole.read_bytes()
    for share in (0.02, 0.3, 0.6, 0.9):
        cut.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(DataError, match=r"cut.tif.*(truncated|corrupt).*copy it again"):
            open_slide(cut, 0.5).read(0, 0, 903, 701)


@pytest.mark.parametrize("kind", ["aperio", "ome"])
def test_what_is_left_of_a_file_is_still_read_after_an_error(kind: str, tmp_path: Path) -> None:
    whole = written(kind, tmp_path)
    with tifffile.TiffFile(whole) as tiff:
        page = tiff.pages[0]
        bad = page.dataoffsets[-1], page.databytecounts[-1]
    with whole.open("r+b") as file:
        file.seek(bad[0])
        file.write(b"\xff" * bad[1])
    slide = open_slide(whole)
    first = PICTURE[:256, :256]
    np.testing.assert_array_equal(slide.read(0, 0, 256, 256), first)
    with pytest.raises(DataError, match="corrupt"):
        slide.read(700, 500, 203, 201)
    np.testing.assert_array_equal(slide.read(0, 0, 256, 256), first)


def test_what_is_no_slide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_slide(tmp_path / "absent.svs")
    text = tmp_path / "text.svs"
    text.write_text("not a slide")
    with pytest.raises(DataError, match="no slide"):
        open_slide(text)
    grey = tmp_path / "grey.tif"
    tifffile.imwrite(grey, PICTURE[..., 0])
    with pytest.raises(DataError, match="8-bit RGB"):
        open_slide(grey, 0.5)
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, PICTURE.astype(np.uint16), photometric="rgb")
    with pytest.raises(DataError, match="uint16"):
        open_slide(deep, 0.5)


def test_slides_are_told_from_images_by_content(tmp_path: Path) -> None:
    png, small = tmp_path / "a.svs", tmp_path / "small.tif"
    Image.fromarray(PICTURE).save(png, format="png")
    tifffile.imwrite(small, PICTURE, photometric="rgb")
    slides = [written("aperio", tmp_path), written("ome", tmp_path)]
    slides[0] = slides[0].rename(tmp_path / "slide.png")
    assert [is_slide(path) for path in (png, small, *slides)] == [False, False, True, True]


def test_without_openslide_scanner_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aperio, ome = written("aperio", tmp_path), written("ome", tmp_path)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(DataError, match=r"need OpenSlide.*\[slides\]"):
        open_slide(aperio)
    assert open_slide(ome).kind == "tifffile:ome"


def test_an_array_is_a_slide() -> None:
    slide: SlideReader = ArrayReader(PICTURE, 0.25, name="mine")
    assert (slide.name, slide.mpp, slide.size_px) == ("mine", (0.25, 0.25), (903, 701))
    np.testing.assert_array_equal(slide.read(5, 6, 7, 8), PICTURE[6:14, 5:12])
    assert slide.identity() == ArrayReader(PICTURE.copy(), 0.5).identity()
    assert slide.identity() != ArrayReader(PICTURE[::-1], 0.5).identity()
    with pytest.raises(DataError, match="RGB"):
        ArrayReader(PICTURE[..., 0], 0.5)


def test_a_real_slide() -> None:
    path = real("wsi/CMU-1-Small-Region.svs")
    slide = open_slide(path)
    assert (slide.kind, slide.size_px, slide.mpp) == (
        *("openslide:aperio", (2220, 2967)),
        (0.499, 0.499),
    )
    preview = slide.preview()
    assert preview is not None
    assert preview.shape == (768, 574, 3)
    assert slide.read(0, 0, 2220, 16).shape == (16, 2220, 3)
    assert slide.identity()[0] == path.stat().st_size
