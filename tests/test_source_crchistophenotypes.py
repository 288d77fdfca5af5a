"""CRCHistoPhenotypes: points of mixed types joined with their classes, in the fake and for real."""

from pathlib import Path

import numpy as np
import pytest
from fakes import crchistophenotypes as fake
from scipy.io import savemat
from source_helpers import read_all, real

from cerberus_bench.loaders.sources.crchistophenotypes import READER, _join
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.record import Coverage

TOP = "CRCHistoPhenotypes_2016_04_28"
MOVED = "points of a class moved to the nearest detection"
KEPT = "points of a class without a detection, kept"


def names(classes: np.ndarray) -> list[str]:
    space = ("none", *READER.spec.label_maps["nuclei"].space.classes)
    return [space[index] for index in classes]


def test_content(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    assert list(records) == ["img1", "img2", "img10"]
    for found in records.values():
        record = found.record
        assert record.points is not None
        assert record.point_classes is not None
        assert record.points.dtype == np.float32
        assert names(record.point_classes) == list(fake.CLASSES)
        assert found.n_objects == {"nuclei": 6}
        assert found.notes == {
            "points with a class": 4,
            MOVED: 1,
            "points clipped to the image": 1,
        }
        assert record.coverage == {"nuclei": Coverage.FULL}
        assert not record.instances
        assert (record.mpp, record.group_level) == (0.55, "image")


def test_coordinates_are_kept_and_clipped_to_the_image(tmp_path: Path) -> None:
    records = read_all(READER, fake.write(tmp_path))
    exact, whole = records["img1"].record.points, records["img2"].record.points
    assert exact is not None
    assert whole is not None
    expected = fake.DETECTIONS.copy()
    expected[4] = (99, 0.15)
    assert np.allclose(exact, expected)
    assert whole.tolist() == np.clip(np.round(fake.DETECTIONS), 0, 99).tolist()


def test_classes_join_one_to_one_nearest_first() -> None:
    detections = np.array([[0.0, 0], [5, 0], [0, 0]])
    classified = np.array([[0.0, 0], [1, 0], [4, 0], [40, 40]])
    points, classes, notes = _join(detections, classified, np.array([1, 2, 3, 4]))
    # the two equal detections go to the first point and the nearer of the others
    assert classes.tolist() == [1, 3, 2, 4]
    assert points.tolist() == [[0, 0], [5, 0], [0, 0], [40, 40]]
    assert notes == {"points with a class": 4, MOVED: 2, KEPT: 1}


def test_image_without_points(tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    for path in (root / TOP).rglob("img1_*.mat"):
        savemat(path, {"detection": np.zeros((0, 2), np.uint8)})
    found = read_all(READER, root)["img1"]
    assert found.record.points is not None
    assert found.record.points.shape == (0, 2)
    assert (found.n_objects, found.notes) == ({"nuclei": 0}, {})


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"detection": np.ones((3, 3))}, r"no list of x and y, but float64 of \(3, 3\)"),
        ({"points": np.ones((3, 2))}, "no list of x and y"),
        ({"detection": np.full((1, 2), np.nan)}, "no finite number"),
        ({"detection": "text"}, "of the MATLAB class char; expected an array of numbers"),
    ],
)
def test_points_that_are_wrong(variables: dict[str, object], message: str, tmp_path: Path) -> None:
    root = fake.write(tmp_path)
    savemat(root / TOP / "Detection" / "img1" / "img1_detection.mat", variables)
    with pytest.raises(DataError, match=rf"img1_detection.mat.*{message}"):
        read_all(READER, root)


def test_real_images() -> None:
    records = read_all(READER, real("CRCHistoPhenotypes_2016_04_28.zip"))
    assert list(records) == [f"img{n}" for n in range(1, 13)]
    assert sum(found.n_objects["nuclei"] for found in records.values()) == 2510
    assert sum(found.notes["points with a class"] for found in records.values()) == 2267
    assert {
        name: found.notes[MOVED] for name, found in records.items() if MOVED in found.notes
    } == {
        "img7": 3,
        "img10": 1,
    }
    for found in records.values():
        points, classes = found.record.points, found.record.point_classes
        assert points is not None
        assert classes is not None
        assert len(points) == found.n_objects["nuclei"]
        assert np.count_nonzero(classes) == found.notes["points with a class"]
        assert KEPT not in found.notes
