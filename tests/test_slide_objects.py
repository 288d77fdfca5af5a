"""Objects of a slide: tables, their order, and the GeoParquet file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import ndimage
from slide_objects import SPACES, as_table, ellipses, facts, shards, toy_objects

from cerberus_bench.model_zoo.instances import instance_table, pixel_outlines
from cerberus_bench.schema.errors import DataError
from cerberus_bench.slides import geoparquet
from cerberus_bench.slides.geoparquet import (
    FILE,
    count_objects,
    iter_objects,
    read_facts,
    read_objects,
    write_objects,
)
from cerberus_bench.slides.hilbert import hilbert_index
from cerberus_bench.slides.objects import OBJECTS, object_table, rings_of


@pytest.fixture(scope="module")
def toy() -> pa.Table:
    return toy_objects()


@pytest.fixture(scope="module")
def written(toy: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "objects.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geoparquet, "GROUP_ROWS", 100)
        write_objects([toy], path, slide=facts())
    return path


def square(**changes: Any) -> pa.Table:
    columns: dict[str, Any] = {
        "classes": np.array([2]),
        "scores": np.array([0.75]),
        "areas_um2": np.array([4.0]),
        "centroids_xy": np.array([[4.5, 6.5]]),
        "outlines": [np.array([[4, 6], [4, 8], [6, 8], [6, 6]])],
    }
    return object_table(SPACES["nuclei"], **{**columns, **changes})


def test_one_square_by_hand() -> None:
    (row,) = square(origin_xy=(10, 20), factor=2.0).to_pylist()
    # px 4 of a grid that starts at 10 begins at 14, at level 0 28
    ring = [(28, 52), (32, 52), (32, 56), (28, 56), (28, 52)]
    assert row == {
        "task": "nuclei",
        "class": "epithelial",
        "score": 0.75,
        "area_um2": 4.0,
        "x": 30.0,
        "y": 54.0,
        "geometry": [[{"x": x, "y": y} for x, y in ring]],
    }


def test_an_object_without_class_is_null() -> None:
    assert square(classes=np.array([0]))["class"].to_pylist() == [None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"scores": np.array([0.5, 0.5])},
        {"classes": np.array([7])},
        {"outlines": [np.array([[1, 1], [2, 2]])]},
    ],
)
def test_columns_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"length|outside|outline"):
        square(**wrong)


def test_every_ring_is_the_outline_closed_and_counterclockwise() -> None:
    labels, classes = ellipses("nuclei", 60, size=(200, 300), radius=(2, 12))
    found = instance_table(labels, classes)
    table = as_table("nuclei", found, labels, origin_xy=(1000, 2000), factor=1.7)
    vertices, ends = rings_of(table["geometry"])
    rings = np.split(vertices, ends[:-1])
    assert len(rings) == len(found)
    for ring, outline in zip(rings, pixel_outlines(labels, found.starts_xy), strict=True):
        expected = np.round((outline + np.array([1000, 2000])) * 1.7 * 8) / 8
        assert ring[0].tolist() == ring[-1].tolist() == expected[0].tolist()
        np.testing.assert_array_equal(ring[:-1], expected)
        x, y = ring.T
        assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0


def test_a_clockwise_outline_is_turned() -> None:
    (row,) = square(outlines=[np.array([[4, 6], [4, 8], [6, 8], [6, 6]])]).to_pylist()
    (other,) = square(outlines=[np.array([[4, 6], [6, 6], [6, 8], [4, 8]])]).to_pylist()
    assert row["geometry"] == other["geometry"]


@pytest.mark.parametrize("factor", [0.2, 0.25, 0.5, 0.6, 1.0, 1.984, 4.0])
def test_polygons_are_valid_at_any_resolution(factor: float) -> None:
    """Pixels that touch at corners in every way, rounded to 1/8 px of level 0."""
    shapely = pytest.importorskip("shapely", reason="shapely is in the extra [geo]")
    random = np.random.default_rng(0)
    pieces, _ = ndimage.label(random.random((90, 90)) < 0.4, np.ones((3, 3)))
    labels = pieces.astype(np.int32)
    found = instance_table(labels)
    table = as_table("nuclei", found, labels, origin_xy=(20_001, 313), factor=factor)
    vertices, ends = rings_of(table["geometry"])
    polygons = [shapely.Polygon(ring) for ring in np.split(vertices, ends[:-1])]
    assert max(len(ring) for ring in np.split(vertices, ends[:-1])) > 100
    assert all(polygon.is_valid for polygon in polygons)
    if factor in (0.25, 0.5, 1, 4):  # no rounding
        areas = [polygon.area / factor**2 for polygon in polygons]
        whole = [shapely.Polygon(xy).area for xy in pixel_outlines(labels, found.starts_xy)]
        np.testing.assert_allclose(areas, whole, rtol=1e-12)


def slow_hilbert(x: int, y: int) -> int:
    """Descend through the quadrants, moving the point into the first one's frame each time."""
    index, side = 0, 1 << 24
    while side > 1:
        side //= 2
        right, low = x >= side, y >= side
        x, y = x % side, y % side
        if not right and not low:
            quadrant, x, y = 0, y, x
        elif not right:
            quadrant = 1
        elif low:
            quadrant = 2
        else:
            quadrant, x, y = 3, side - 1 - y, side - 1 - x
        index = 4 * index + quadrant
    return index


def test_hilbert_order_is_that_of_the_quadrants() -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, [[1 << 24], [1 << 17]], (2, 300)).astype(float)
    expected = [slow_hilbert(int(a), int(b)) for a, b in zip(x, y, strict=True)]
    assert hilbert_index(x + 0.9, y + 0.2).tolist() == expected


def test_hilbert_order_takes_one_step_at_a_time() -> None:
    y, x = (axis.ravel() for axis in np.indices((64, 64)).astype(float))
    order = np.argsort(hilbert_index(x, y))
    assert (np.abs(np.diff(x[order])) + np.abs(np.diff(y[order])) == 1).all()


def slow_order(table: pa.Table) -> list[dict[str, Any]]:
    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        (ring,) = row["geometry"]
        xs, ys = ([vertex[axis] for vertex in ring] for axis in "xy")
        box = (min(xs), min(ys), max(xs), max(ys))
        place = slow_hilbert(int(row["x"]), int(row["y"]))
        return (place, row["y"], row["x"], row["task"], row["area_um2"], *box)

    return sorted(table.to_pylist(), key=key)


def test_rows_follow_the_curve_with_ids_and_boxes(toy: pa.Table, written: Path) -> None:
    found = read_objects(written)
    assert found.schema.equals(FILE)
    assert found.drop(["id", "bbox"]).to_pylist() == slow_order(toy)
    assert (
        found["id"].to_pylist()
        == list(range(1, len(toy) + 1))
        == [*range(1, 1 + count_objects(written))]
    )
    for row in found.select(["geometry", "bbox"]).to_pylist():
        xs, ys = ([vertex[axis] for vertex in row["geometry"][0]] for axis in "xy")
        box = {"xmin": min(xs), "ymin": min(ys), "xmax": max(xs), "ymax": max(ys)}
        assert row["bbox"] == box


@pytest.mark.parametrize("side", [700, 2048, 3000])
def test_bytes_do_not_depend_on_shards(
    toy: pa.Table, written: Path, tmp_path: Path, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geoparquet, "GROUP_ROWS", 100)
    parts = shards(toy, side)
    assert len(parts) > 2
    path = tmp_path / "objects.parquet"
    assert write_objects(iter(parts), path, slide=facts()) == len(toy)
    assert path.read_bytes() == written.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["objects.parquet"]


def test_a_failing_shard_leaves_nothing(toy: pa.Table, tmp_path: Path) -> None:
    def failing() -> Any:
        yield toy
        raise DataError("shard 3 is damaged")

    with pytest.raises(DataError, match="shard 3"):
        write_objects(failing(), tmp_path / "objects.parquet", slide=facts())
    with pytest.raises(ValueError, match="OBJECTS"):
        write_objects([toy.drop(["x"])], tmp_path / "objects.parquet", slide=facts())
    assert list(tmp_path.iterdir()) == []


def test_metadata_is_that_of_the_specification(toy: pa.Table, written: Path) -> None:
    """GeoParquet 1.1.0: the fields of the `geo` key, and the shape of native polygons."""
    file = pq.ParquetFile(written)
    geo = json.loads(file.metadata.metadata[b"geo"])
    vertices, _ = rings_of(toy["geometry"])
    assert geo == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "polygon",
                "geometry_types": ["Polygon"],
                "crs": None,
                "orientation": "counterclockwise",
                "covering": {"bbox": {s: ["bbox", s] for s in ("xmin", "ymin", "xmax", "ymax")}},
                "bbox": [*vertices.min(axis=0).tolist(), *vertices.max(axis=0).tolist()],
            }
        },
    }
    leaves = {file.schema.column(i).path: file.schema.column(i) for i in range(len(file.schema))}
    for axis in "xy":
        leaf = leaves[f"geometry.list.element.list.element.{axis}"]
        assert leaf.physical_type == "DOUBLE"
        assert leaf.max_repetition_level == 2
        assert leaf.max_definition_level == 2  # nothing inside may be null
    assert read_facts(written) == facts()


def test_row_groups_away_from_the_box_are_not_read(toy: pa.Table, written: Path) -> None:
    box = (3000.0, 2000.0, 3800.0, 2700.0)
    file = pq.ParquetFile(written)
    met = sum(1 for table in iter_objects(written, box))
    assert 0 < met < file.num_row_groups / 2
    everything = read_objects(written)
    expected = [
        row
        for row in everything.to_pylist()
        if row["bbox"]["xmin"] <= 3800
        and row["bbox"]["xmax"] >= 3000
        and row["bbox"]["ymin"] <= 2700
        and row["bbox"]["ymax"] >= 2000
    ]
    assert read_objects(written, box).to_pylist() == expected
    assert len(expected) > 3
    ids = read_objects(written, box, columns=["id"])
    assert ids.to_pylist() == [{"id": row["id"]} for row in expected]
    assert len(read_objects(written, (0.0, -9.0, 5.0, -1.0))) == 0


def test_a_slide_without_objects(tmp_path: Path) -> None:
    path = tmp_path / "objects.parquet"
    assert write_objects([OBJECTS.empty_table()], path, slide=facts()) == 0
    assert read_objects(path).equals(FILE.empty_table())


@pytest.mark.parametrize("content", [b"", b"PAR1 no parquet PAR1"])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "objects.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"objects.parquet is missing or damaged"):
        read_objects(path)
    with pytest.raises(DataError, match=r"nothing.parquet is missing"):
        read_objects(tmp_path / "nothing.parquet")


def test_other_parquet_files_are_refused(tmp_path: Path, toy: pa.Table) -> None:
    path = tmp_path / "objects.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match="no objects of a slide"):
        read_objects(path)


def test_geopandas_opens_the_file(toy: pa.Table, written: Path) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas is in the extra [geo]")
    frame = geopandas.read_parquet(written)
    rows = read_objects(written).to_pylist()
    assert frame.crs is None
    assert len(frame) == len(rows)
    for polygon, row in zip(frame.geometry, rows, strict=True):
        assert list(polygon.exterior.coords) == [(v["x"], v["y"]) for v in row["geometry"][0]]
        assert polygon.is_valid
        assert polygon.exterior.is_ccw
    part = geopandas.read_parquet(written, bbox=(3000, 2000, 3800, 2700))
    assert part["id"].tolist() == read_objects(written, (3000, 2000, 3800, 2700))["id"].to_pylist()
    assert str(frame["class"].dtype) == "category"


def test_a_nucleus_takes_at_most_60_bytes(tmp_path: Path) -> None:
    """Outlines of the published post-processing, classes and scores without any pattern."""
    with np.load(Path(__file__).parent / "golden" / "postprocessing.npz") as file:
        labels = file["nuclei_map"]
    random = np.random.default_rng(0)
    types = random.integers(1, 7, labels.shape, dtype=np.int32)
    found = instance_table(labels, types)
    tables = []
    for y in range(6):
        for x in range(6):
            origin = tuple((np.array([x, y]) * 533 + random.integers(0, 9, 2) + 20_000).tolist())
            table = as_table("nuclei", found, labels, origin_xy=origin)
            score = pa.array(random.uniform(0.3, 1, len(found)) * 1024 // 1 / 1024, pa.float32())
            tables.append(table.set_column(2, OBJECTS.field("score"), score))
    path = tmp_path / "objects.parquet"
    n = write_objects(tables, path, slide=facts(100_000, 80_000))
    assert n > 20_000
    assert path.stat().st_size <= 60 * n
