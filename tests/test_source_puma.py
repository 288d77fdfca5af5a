"""PUMA: outlines with holes and parts, alpha, pixel size of the TIFF tags."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import picture
from fakes import puma as fake
from source_helpers import class_names, listed, read_all

from cerberus_bench.loaders.sources.puma import READER
from cerberus_bench.schema.errors import DataError

FIRST, SECOND = fake.RECORDS


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert list(records) == [FIRST, SECOND]
    found = records[SECOND]
    nuclei = found.record.instances["nuclei"]
    assert np.array_equal(found.record.image, picture(1, fake.SHAPE))
    assert class_names(READER, "nuclei", nuclei) == ["neoplastic", "macrophage", "connective"]
    assert found.n_objects == {"nuclei": 3}
    assert found.record.attributes == {"lesion": "primary", "mpp_source": "spec"}
    assert listed(READER, tmp_path).images[0].attributes == {"lesion": "metastatic"}


def test_holes_and_parts_belong_to_one_nucleus(tmp_path: Path) -> None:
    labels = read_all(READER, fake.write(tmp_path))[FIRST].record.instances["nuclei"].labels
    assert np.array_equal(np.argwhere(labels == 3)[[0, -1]], [[40, 10], [47, 17]])  # not stretched
    assert labels[11, 11] == 1
    assert labels[15, 15] == 0
    assert int((labels == 1).sum()) == 12 * 12 - 4 * 4
    assert labels[12, 32] == labels[12, 42] == 2
    assert int((labels == 2).sum()) == 2 * 5 * 5


def test_pixel_size_is_that_of_the_tags(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert records[FIRST].record.mpp == pytest.approx(fake.MPP, rel=1e-4)
    assert records[FIRST].record.attributes["mpp_source"] == "file"
    assert records[SECOND].record.mpp == READER.spec.mpp


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ((fake.feature("nuclei_x", "Polygon", [fake.square(1, 1, 5)]),), "is called 'nuclei_x'"),
        ((fake.feature("nuclei_tumor", "Point", [1, 2]),), "has no outline .Point"),
        ((fake.feature("nuclei_tumor", "Polygon", [[["a", 2]]]),), "has no outline .Polygon"),
        ((fake.feature("nuclei_tumor", "Polygon", []),), "no finite coordinates"),
        (({"geometry": None, "properties": None},), "has no outline"),
    ],
)
def test_features_that_are_wrong(features: tuple, message: str, tmp_path: Path) -> None:
    fake.write_json(fake.write(tmp_path) / fake.NUCLEI / f"{FIRST}_nuclei.geojson", features)
    with pytest.raises(DataError, match=message):
        read_all(READER, tmp_path)


@pytest.mark.parametrize("document", [{}, [1, 2], "text"])
def test_documents_that_are_no_geojson(document: object, tmp_path: Path) -> None:
    path = fake.write(tmp_path) / fake.NUCLEI / f"{FIRST}_nuclei.geojson"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="is no GeoJSON with features"):
        read_all(READER, tmp_path)
