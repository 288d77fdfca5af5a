"""Whole slides from pixels to objects: what is found depends on the slide alone."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image
from slide_models import MARGIN_PX, phantom_slide, predictor
from slide_pictures import Pixels, glass, scene

from cerberus_bench.model_zoo import load_model, untrained
from cerberus_bench.model_zoo.backends import make_network
from cerberus_bench.model_zoo.instances import (
    gland_instances,
    instance_table,
    lumen_instances,
    lumina_inside_glands,
    nuclei_instances,
)
from cerberus_bench.model_zoo.options import RunOptions
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides.array_reader import ArrayReader
from cerberus_bench.slides.geoparquet import read_objects
from cerberus_bench.slides.summary import read_summary
from cerberus_bench.workflows.networks import network_predictor
from cerberus_bench.workflows.predict_slides import SlideOptions, merge, predict_slide

SLIDE = phantom_slide()


def predict(out: Path, pixels: Pixels = SLIDE, model=None, **options: object) -> dict:
    reader = ArrayReader(pixels, 0.5, name="slide")
    return predict_slide(reader, model or predictor(), out, SlideOptions(**options))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slide in one shard, by one worker."""
    out = tmp_path_factory.mktemp("whole")
    predict(out, workers=1)
    return out / "slide"


def results(folder: Path) -> dict[str, bytes]:
    names = ("objects.parquet", "tissue.png", "overlay.png", "summary.json", "objects.geojson.gz")
    return {name: (folder / name).read_bytes() for name in names}


def whole_maps() -> dict[str, np.ndarray]:
    """Probabilities of the whole slide: one window after the other, in no shards."""
    model = predictor()
    (height, width), kept, edge = SLIDE.shape[:2], 224, 112 + MARGIN_PX
    padded = np.pad(SLIDE, ((edge, 256), (edge, 256), (0, 0)), constant_values=255)
    maps: dict[str, np.ndarray] = {}
    for y in range(0, height + 112, kept):
        for x in range(0, width + 112, kept):
            found = model.network(padded[None, y : y + 256, x : x + 256], OUTPUTS, MARGIN_PX)
            for name, values in found.items():
                shape = (height + 512, width + 512, values.shape[-1])
                whole = maps.setdefault(name, np.zeros(shape, np.float32))
                whole[y : y + kept, x : x + kept] = values[0]
    return {name: values[112 : 112 + height, 112 : 112 + width] for name, values in maps.items()}


OUTPUTS = ("nuclei.instance", "nuclei.type", "gland.instance", "lumen.instance")


def test_objects_are_those_of_the_map_of_the_whole_slide(tmp_path: Path) -> None:
    everywhere = tmp_path / "mask.png"
    Image.fromarray(np.full((11, 21), 1, np.uint8)).save(everywhere)
    done = predict(tmp_path, mask=everywhere, shard_px=1024)
    maps = whole_maps()
    labels = nuclei_instances(maps["nuclei.instance"][..., 1:])
    table = instance_table(
        labels, maps["nuclei.type"].argmax(axis=2), 1 - maps["nuclei.instance"][..., 0]
    )
    assert len(table) > 500
    names = (None, *predictor().label_spaces["nuclei"].classes)
    expected = {
        (round((x + 0.5) * 64), round((y + 0.5) * 64)): (area * 0.25, names[index])
        for (x, y), area, index in zip(
            table.centroid.tolist(), table.area.tolist(), table.type.tolist(), strict=True
        )
    }
    found = read_objects(tmp_path / "slide" / "objects.parquet")
    nuclei = found.filter(pc.equal(found["task"].cast(pa.string()), "nuclei")).to_pylist()
    assert {
        (round(row["x"] * 64), round(row["y"] * 64)): (row["area_um2"], row["class"])
        for row in nuclei
    } == expected
    assert np.mean([row["score"] for row in nuclei]) == pytest.approx(table.score.mean(), abs=1e-3)
    glands = gland_instances(halves(maps["gland.instance"]), 0.5)
    lumina = lumina_inside_glands(lumen_instances(halves(maps["lumen.instance"]), 0.5), glands)
    assert done["objects"]["gland"] == len(instance_table(glands)) > 2
    assert done["objects"]["lumen"] == len(instance_table(lumina)) > 2


def test_polygons_hold_the_pixels_of_their_objects(whole: Path) -> None:
    shapely = pytest.importorskip("shapely", reason="shapely is in the extra [geo]")
    rows = read_objects(whole / "objects.parquet").to_pylist()
    kinds: dict[str, list[float]] = {}
    for row in rows:
        polygon = shapely.Polygon([(v["x"], v["y"]) for v in row["geometry"][0]])
        assert polygon.is_valid
        more = polygon.area * 0.25 - row["area_um2"]
        assert more > -1e-3 or row["task"] == "lumen"  # glands may cut a lumen into parts
        kinds.setdefault(row["task"], []).append(more)
    assert {task: len(more) for task, more in kinds.items()}.keys() == {"nuclei", "gland", "lumen"}
    equal = np.abs(kinds["nuclei"]) < 1e-3  # the others have holes
    assert len(equal) > 100
    assert equal.mean() > 0.95


def halves(values: np.ndarray) -> np.ndarray:
    """Inner and contour at half the resolution."""
    corners = [values[y::2, x::2, 1:] for y in (0, 1) for x in (0, 1)]
    return np.mean(corners, axis=0).astype(np.float32)


@pytest.mark.parametrize(("shard_px", "workers", "batch"), [(1024, 2, 3), (2048, 1, 1)])
def test_shards_workers_and_batches_change_nothing(
    whole: Path, tmp_path: Path, shard_px: int, workers: int, batch: int
) -> None:
    model = predictor(windows_a_batch=batch)
    done = predict(tmp_path, model=model, shard_px=shard_px, workers=workers)
    assert done["shards"] == {1024: 5, 2048: 2}[shard_px]
    assert results(tmp_path / "slide") == results(whole)


def test_parts_and_merge_change_nothing(whole: Path, tmp_path: Path) -> None:
    for i in (2, 3, 1):
        done = predict(tmp_path, shard_px=1024, part=(i, 3))
        assert done["objects"] is None
    assert done["n_missing"] == 0
    (merged,) = merge(tmp_path)
    assert merged["objects"]["nuclei"] > 100
    assert results(tmp_path / "slide") == results(whole)


def test_a_blank_slide_has_no_objects(tmp_path: Path) -> None:
    done = predict(tmp_path, glass(700, 900))
    assert done["objects"] == {"nuclei": 0, "gland": 0, "lumen": 0}
    assert (done["shards"], done["tissue_mm2"]) == (0, 0)
    assert read_objects(tmp_path / "slide" / "objects.parquet").num_rows == 0


def test_a_window_gives_the_same_numbers_wherever_it_lies_in_a_batch() -> None:
    """In a real network neither the rest of a batch nor what it is filled up with shows."""
    network = make_network(load_model("cerberus-tiny"))
    outputs = ("nuclei.instance", "nuclei.type", "gland.instance", "tissue")
    window, other = (scene(index)[:160, :160] for index in (0, 1))
    blank = np.zeros_like(window)
    batches = [(window, other, blank), (other, window, other), (blank, blank, window)]
    found = [network(np.stack(batch), outputs, 16) for batch in batches]
    for name in outputs:
        for position in (1, 2):
            np.testing.assert_array_equal(found[position][name][position], found[0][name][0])


@pytest.mark.parametrize("tasks", [("nuclei",), ("gland",), ("lumen", "tissue"), ("tissue",)])
def test_models_of_some_tasks(tasks: tuple[str, ...], tmp_path: Path) -> None:
    pixels = glass(400, 600)
    pixels[60:360, 100:500] = scene(0)[:300, :400]
    done = predict(tmp_path, pixels, predictor(tasks))
    objects = [task for task in tasks if task != "tissue"]
    assert list(done["objects"]) == objects
    assert all(done["objects"].values())
    found = read_objects(tmp_path / "slide" / "objects.parquet")
    assert set(found["task"].to_pylist()) == set(objects)
    summary = read_summary(tmp_path / "slide" / "summary.json")
    assert (summary.tissue is not None) == ("tissue" in tasks)
    if summary.tissue:
        assert summary.tissue.n_places == 6, "centres of windows at 0, 224, 448 x 0, 224"


def test_a_model_of_boxes_alone_is_refused(tmp_path: Path) -> None:
    model = network_predictor(untrained("single-signet_ring-tiny"), RunOptions())
    with pytest.raises(DataError, match="predicts signet_ring"):
        predict(tmp_path, glass(100, 100), model)
