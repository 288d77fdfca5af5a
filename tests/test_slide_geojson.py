"""Objects of a slide as QuPath's GeoJSON."""

import gzip
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from slide_objects import facts, toy_objects

from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.labels import ONTOLOGY
from cerberus_bench.slides import geoparquet
from cerberus_bench.slides.geojson import write_geojson
from cerberus_bench.slides.geoparquet import read_objects, write_objects
from cerberus_bench.slides.objects import OBJECTS


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "objects.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geoparquet, "GROUP_ROWS", 400)
        write_objects([toy_objects()], path, slide=facts())
    return path


@pytest.fixture(scope="module")
def features(objects: Path) -> list[dict[str, Any]]:
    path = objects.with_name("objects.geojson.gz")
    assert write_geojson(objects, path) == len(read_objects(objects))
    document = json.loads(gzip.decompress(path.read_bytes()))
    assert document["type"] == "FeatureCollection"
    return list(document["features"])


def test_every_object_is_a_feature_in_the_form_of_qupath(
    objects: Path, features: list[dict[str, Any]]
) -> None:
    rows = read_objects(objects).to_pylist()
    assert len(features) == len(rows) > 1000
    for feature, row in zip(features, rows, strict=True):
        node = ONTOLOGY[row["task"]][row["class"]]
        colour = [int(node.colour[i : i + 2], 16) for i in (1, 3, 5)]
        ring = [[v["x"], v["y"]] for v in row["geometry"][0]]
        assert UUID(feature.pop("id")).version == 5
        assert feature == {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {
                "objectType": "detection" if row["task"] == "nuclei" else "annotation",
                "classification": {"name": node.name, "color": colour},
                "measurements": {
                    "Area \N{MICRO SIGN}m^2": pytest.approx(row["area_um2"], abs=1e-3),
                    "Score": pytest.approx(row["score"], abs=1e-4),
                },
            },
        }


def test_ids_are_unique_and_bytes_repeat(objects: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("first.geojson.gz", "second.geojson.gz"):
        write_geojson(objects, tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    ids = re.findall(rb'"id":"([^"]+)"', gzip.decompress(contents[0]))
    assert len(set(ids)) == len(ids) == len(read_objects(objects))
    other = tmp_path / "other.parquet"
    rows = read_objects(objects, columns=OBJECTS.names)
    write_objects([rows.cast(OBJECTS)], other, slide=facts(name="another"))
    write_geojson(other, tmp_path / "other.geojson.gz")
    content = gzip.decompress((tmp_path / "other.geojson.gz").read_bytes())
    assert not set(re.findall(rb'"id":"([^"]+)"', content)) & set(ids)


def test_an_object_without_class_has_no_classification(tmp_path: Path) -> None:
    row = {"task": "nuclei", "class": None, "score": 1.0, "area_um2": 2.0, "x": 1.0, "y": 1.0}
    ring = [{"x": x, "y": y} for x, y in ((0, 0), (2, 0), (2, 2), (0, 0))]
    table = OBJECTS.empty_table().from_pylist([{**row, "geometry": [ring]}], schema=OBJECTS)
    write_objects([table], tmp_path / "objects.parquet", slide=facts())
    write_geojson(tmp_path / "objects.parquet", tmp_path / "o.geojson.gz")
    (feature,) = json.loads(gzip.decompress((tmp_path / "o.geojson.gz").read_bytes()))["features"]
    assert set(feature["properties"]) == {"objectType", "measurements"}


def test_no_objects_and_no_file(tmp_path: Path) -> None:
    write_objects([], tmp_path / "objects.parquet", slide=facts())
    assert write_geojson(tmp_path / "objects.parquet", tmp_path / "o.geojson.gz") == 0
    document = json.loads(gzip.decompress((tmp_path / "o.geojson.gz").read_bytes()))
    assert document == {"type": "FeatureCollection", "features": []}
    with pytest.raises(DataError, match=r"nothing\.parquet"):
        write_geojson(tmp_path / "nothing.parquet", tmp_path / "n.geojson.gz")
    assert not (tmp_path / "n.geojson.gz").exists()
