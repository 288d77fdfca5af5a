"""The predictions folder: what is written is read, and nothing is half-written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cerberus_bench.eval.predictions import PredictionsFolder, PredictionsFolderWriter
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.prediction import PredictedInstances, Prediction, PredictionsManifest
from cerberus_bench.schema.result import ModelInfo


def manifest(*samples: str) -> PredictionsManifest:
    return PredictionsManifest(
        model=ModelInfo(name="m", file_sha256=None, tasks=[], kind="multi", trained_on=None),
        dataset="d",
        dataset_version="1",
        fingerprint="f",
        split="test",
        fold=3,
        label_spaces={
            "nuclei": ["epithelial", "connective"],
            "signet_ring": ["signet_ring_cell"],
            "tissue": ["stroma", "debris"],
        },
        samples=list(samples),
    )


def prediction(sample: str, largest: int = 7) -> Prediction:
    labels = np.zeros((4, 5), np.int32)
    labels[0, :2], labels[3, 3] = 2, largest
    nuclei = PredictedInstances(
        labels, np.array([2, largest]), np.array([2, 0]), np.array([0.5, 1.0])
    )
    return Prediction(
        sample_id=sample,
        instances={"nuclei": nuclei},
        boxes=np.array([[0, 1, 2.5, 3]], np.float32),
        box_scores=np.array([0.25]),
        tissue=np.array([0.75, 0.25]),
    )


@pytest.mark.parametrize("largest", [7, 70_000])
def test_round_trip(tmp_path: Path, largest: int) -> None:
    out = tmp_path / "p"
    written = prediction("d/a@0,1", largest)
    with PredictionsFolderWriter(out, manifest("d/a@0,1")) as writer:
        writer.add(written)
        assert not out.exists()
    (read,) = PredictionsFolder(out)
    assert read.sample_id == "d/a@0,1"
    nuclei, expected = read.instances["nuclei"], written.instances["nuclei"]
    np.testing.assert_array_equal(nuclei.labels, expected.labels)
    np.testing.assert_array_equal(nuclei.ids, expected.ids)
    np.testing.assert_array_equal(nuclei.classes, expected.classes)
    np.testing.assert_array_equal(nuclei.scores, expected.scores)
    np.testing.assert_array_equal(read.boxes, written.boxes)
    np.testing.assert_array_equal(read.box_scores, [0.25])
    np.testing.assert_array_equal(read.tissue, [0.75, 0.25])
    assert read.tasks == ("nuclei", "tissue", "signet_ring")


def test_a_missing_sample_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    writer = PredictionsFolderWriter(tmp_path / "p", manifest("d/a", "d/b"))
    writer.add(prediction("d/a"))
    with pytest.raises(DataError, match="d/b"):
        writer.close()
    assert not list(tmp_path.iterdir())


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        PredictionsFolderWriter(tmp_path / "p", manifest("d/a")),
    ):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_strange_samples_and_folders_are_refused(tmp_path: Path) -> None:
    writer = PredictionsFolderWriter(tmp_path / "p", manifest("d/a"))
    writer.add(prediction("d/a"))
    with pytest.raises(DataError, match="written before"):
        writer.add(prediction("d/a"))
    with pytest.raises(DataError, match="d/c is not a sample"):
        writer.add(prediction("d/c"))
    with pytest.raises(DataError, match=r"no manifest\.json"):
        PredictionsFolder(tmp_path)
    (tmp_path / "taken").mkdir()
    with pytest.raises(DataError, match="no predictions folder"):
        PredictionsFolderWriter(tmp_path / "taken", manifest("d/a"))


def test_a_colour_image_is_no_label_map(tmp_path: Path) -> None:
    out = tmp_path / "p"
    with PredictionsFolderWriter(out, manifest("d/a")) as writer:
        writer.add(prediction("d/a"))
    (path,) = (out / "nuclei").iterdir()
    Image.new("RGB", (5, 4)).save(path)
    with pytest.raises(DataError, match="single-channel"):
        PredictionsFolder(out).read("d/a")


def test_objects_that_do_not_fit_their_map_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "p"
    with PredictionsFolderWriter(out, manifest("d/a")) as writer:
        writer.add(prediction("d/a"))
    (path,) = (out / "nuclei").iterdir()
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(path)
    with pytest.raises(DataError, match="do not fit"):
        PredictionsFolder(out).read("d/a")


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 2}')
    with pytest.raises(DataError, match=r"manifest\.json"):
        PredictionsFolder(tmp_path)
