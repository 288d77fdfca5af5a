"""`predict` and `merge` on slides, from the command line: answers and refusals."""

import json
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
import torch
from PIL import Image
from slide_pictures import Pixels, glass, scene, write_aperio
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.model_zoo import create, make_card, save_model
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.geoparquet import read_objects
from cerberus_bench.slides.summary import read_summary
from cerberus_bench.workflows.predict_slides import parse_part


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(result.exception, DataError), result.output
    assert result.exception.exit_code == 2
    return str(result.exception)


def picture(height: int = 300, width: int = 1300) -> Pixels:
    """Tissue at either end, in the first and the second shard of 1024 px."""
    pixels = glass(height, width)
    pixels[:256, :200] = scene(0)[:256, :200]
    pixels[40:300, 1100:] = scene(1)[:260, :200]
    return pixels


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real network of one task with small windows."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create("single-nuclei-tiny")
    card = make_card(network, "single-nuclei-tiny", window_px=128, margin_px=16)
    return save_model(tmp_path_factory.mktemp("model") / "model.pt", network, card)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_aperio(tmp_path_factory.mktemp("slides") / "a.svs", picture())


def test_slides_and_images_in_one_call(slide: Path, model: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    Image.fromarray(scene(0)[:100, :100]).save(folder / "image.png")
    (folder / "notes.txt").write_text("neither")
    (folder / "a.svs").write_bytes(slide.read_bytes())
    rows = json.loads(
        run("predict", folder, "--model", model, "--out", out, "--mpp", "0.5", "--json")
    )
    by_kind = {("slide" if "slide" in row else "image"): row for row in rows}
    assert by_kind["image"]["image"] == "image.png"
    found = by_kind["slide"]
    assert found["objects"] == {"nuclei": read_objects(out / "a" / "objects.parquet").num_rows}
    assert (found["slide"], found["shards"], found["n_missing"]) == ("a", 1, 0)
    assert found["px_read_per_px"] > 0
    assert 0.05 < found["peak_memory_gib"] < 6
    assert read_summary(out / "a" / "summary.json").model.run == "exact fp32 torch"
    names = {path.name for path in (out / "a").iterdir()}
    assert names == {
        *("plan.json", "tissue.png", "thumbnail.jpg", "shards"),
        *("objects.parquet", "objects.geojson.gz", "overlay.png", "summary.json"),
    }
    shown = run("predict", folder / "a.svs", "--model", model, "--out", out, "--mpp", "0.5")
    assert "objects.parquet" in shown
    assert f"{found['objects']['nuclei']:,}" in shown


def test_parts_are_joined_by_merge(slide: Path, model: Path, tmp_path: Path) -> None:
    whole = ("predict", slide, "--model", model, "--shard-px", 1024, "--out")
    done = json.loads(run(*whole, tmp_path / "whole", "--json"))
    first = ("--shard", "1/2")
    (row,) = json.loads(run(*whole, tmp_path / "parts", *first, "--json"))
    assert (row["shards"], row["n_missing"], row["objects"]) == (2, 1, None)
    missing = refused("merge", tmp_path / "parts")
    assert "1 of 2 shards are missing" in missing
    assert "--shard 2/2" in missing
    assert "merge" in run(*whole, tmp_path / "parts", "--shard", "2/2")
    merged = json.loads(run("merge", tmp_path / "parts" / "a", "--json"))
    assert merged[0]["objects"] == done[0]["objects"]
    name = "objects.parquet"
    one, other = ((tmp_path / kind / "a" / name).read_bytes() for kind in ("whole", "parts"))
    assert one == other
    assert "a" in run("merge", tmp_path / "parts")


def test_another_plan_is_refused(slide: Path, model: Path, tmp_path: Path) -> None:
    command = ("predict", slide, "--model", model, "--out", tmp_path)
    run(*command)
    error = refused(*command, "--shard-px", 1024)
    assert "layout.shard_px is 4096, not 1024" in error
    assert "--overwrite" in error
    mask = tmp_path / "mask.png"
    Image.fromarray(np.ones((30, 130), np.uint8)).save(mask)
    assert "tissue_rule" in refused(*command, "--mask", mask)
    assert "slide.mpp_x is 0.5, not 0.25" in refused(*command, "--mpp", "0.25")
    assert "leave one away" in refused(*command, "--overwrite", "--shard", "1/2")
    run(*command, "--shard-px", 1024, "--overwrite")
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert (plan["layout"]["shard_px"], len(plan["shards"])) == (1024, 2)


def test_a_mask_says_where_to_look(slide: Path, model: Path, tmp_path: Path) -> None:
    """Left half only: the second shard is not computed at all."""
    mask = tmp_path / "mask.png"
    Image.fromarray(np.tile(np.uint8([9] * 60 + [0] * 70), (30, 1))).save(mask)
    command = ("predict", slide, "--model", model, "--shard-px", 1024, "--json", "--out", tmp_path)
    (row,) = json.loads(run(*command, "--mask", mask))
    assert row["shards"] == 1
    assert row["tissue_mm2"] == pytest.approx(300 * 600 * 0.25e-6)
    objects = read_objects(tmp_path / "a" / "objects.parquet")
    assert max(objects["x"].to_pylist(), default=0) < 700
    assert np.asarray(Image.open(tmp_path / "a" / "tissue.png")).shape == (30, 130)
    Image.fromarray(np.ones((30, 30), np.uint8)).save(mask)
    other = (*command[:-1], tmp_path / "other")
    assert "not the whole of a" in refused(*other, "--mask", mask)
    assert "not a readable mask" in refused(*other, "--mask", tmp_path / "absent.png")


def test_what_cannot_be_predicted_is_refused(slide: Path, model: Path, tmp_path: Path) -> None:
    out = ("--model", model, "--out", tmp_path / "out")
    image = tmp_path / "image.png"
    Image.fromarray(scene(0)[:64, :64]).save(image)
    assert "--mpp" in refused("predict", image, *out)
    bare = write_aperio(tmp_path / "bare.svs", picture(), None)
    assert "--mpp" in refused("predict", bare, *out)
    cut = tmp_path / "cut.svs"
    cut.write_bytes(slide.read_bytes()[:2000])
    assert "copy it again" in refused("predict", cut, *out)
    text = tmp_path / "text.svs"
    text.write_text("no slide")
    assert "not a readable image" in refused("predict", text, *out, "--mpp", 1)
    assert "multiple of 1024" in refused("predict", slide, *out, "--shard-px", 1000)
    assert "network" in refused("predict", slide, "--model", "classical-watershed")
    assert "no slide" in refused("merge", tmp_path)
    twin = tmp_path / "a.png"
    Image.fromarray(scene(0)[:64, :64]).save(twin)
    assert "same name" in refused("predict", slide, twin, *out, "--mpp", 1)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert ".svs" in refused("predict", empty, *out)
    for bad in ("0/3", "4/3", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(DataError, match="i/n"):
            parse_part(bad)
    assert parse_part("2/8") == (2, 8)


def test_a_folder_of_something_else_is_not_removed(
    slide: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("mine")
    error = refused("predict", slide, "--model", model, "--out", tmp_path, "--overwrite")
    assert "holds no slide" in error
    assert (tmp_path / "a" / "thesis.txt").exists()


def test_one_bad_slide_does_not_stop_the_others(slide: Path, model: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "broken.svs").write_bytes(slide.read_bytes()[:2000])
    (folder / "whole.svs").write_bytes(slide.read_bytes())
    error = refused("predict", folder, "--model", model, "--out", out)
    assert error.startswith("1 of 2 inputs failed")
    assert "broken.svs" in error
    assert (out / "whole" / "summary.json").exists()


def test_folders_are_not_mixed(slide: Path, model: Path, tmp_path: Path) -> None:
    """Neither image and slide of one name, nor the shards of two masks."""
    Image.fromarray(scene(0)[:64, :64]).save(tmp_path / "a.png")
    out = ("--model", model, "--mpp", 0.5, "--out")
    run("predict", tmp_path / "a.png", *out, tmp_path / "images")
    assert "holds no slide" in refused("predict", slide, *out, tmp_path / "images")
    run("predict", slide, *out, tmp_path / "slides")
    assert "holds a slide" in refused("predict", tmp_path / "a.png", *out, tmp_path / "slides")
    tissue = tmp_path / "slides" / "a" / "tissue.png"
    Image.fromarray(~np.asarray(Image.open(tissue))).save(tissue)
    assert "--mask FILE --overwrite" in refused("predict", slide, *out, tmp_path / "slides")
    assert "--mask FILE --overwrite" in refused("merge", tmp_path / "slides")


def test_the_label_of_a_slide_is_never_shown(model: Path, tmp_path: Path) -> None:
    """A label right behind level 0, in the slide's proportions: OpenSlide calls it thumbnail."""
    path = tmp_path / "named.svs"
    label = np.zeros((60, 260, 3), np.uint8)
    label[..., 0] = 255
    write_aperio(path, picture())
    with tifffile.TiffWriter(path, append=True) as writer:
        text = "Aperio Image Library\r\nlabel 260x60"
        writer.write(label, photometric="rgb", description=text, metadata=None, rowsperstrip=60)
    seen = openslide.OpenSlide(path).associated_images
    assert np.asarray(seen["thumbnail"])[0, 0].tolist() == [255, 0, 0, 255]
    run("predict", path, "--model", model, "--out", tmp_path / "out")
    for name in ("thumbnail.jpg", "overlay.png"):
        pixels = np.asarray(Image.open(tmp_path / "out" / "named" / name).convert("RGB"))
        away = np.abs(pixels.astype(int) - (255, 0, 0)).max(axis=2)
        assert away.min() > 20, name
