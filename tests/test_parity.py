"""How far a way of running a network is from exact fp32 torch: measured, judged, written down."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import glas
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.eval.agreement import agreement, box_agreement
from cerberus_bench.eval.overlap import overlap
from cerberus_bench.eval.pq import PanopticCounts, panoptic_counts
from cerberus_bench.model_zoo import create, load_model, make_card, save_model
from cerberus_bench.model_zoo.options import RunOptions
from cerberus_bench.model_zoo.runner import predict_image
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.parity import ParityBounds, ParityReport, TaskParity
from cerberus_bench.schema.prediction import PredictedInstances
from cerberus_bench.schema.result import DataInfo
from cerberus_bench.workflows.data import open_data
from cerberus_bench.workflows.harmonize import harmonize
from cerberus_bench.workflows.models import find_model
from cerberus_bench.workflows.parity import measure_parity

DATA = DataInfo(
    name="d", version="1", fingerprint="f", split="s", fold=3, mpp=0.5, synthetic=True, n_images=1
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("glas")
    harmonize("glas", glas.write(folder / "source"), folder / "data", allow_partial=True)
    return str(folder / "data")


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """The shipped weights with windows that keep 32 px, so that fast mode lays others."""
    tiny = load_model("cerberus-tiny")
    assert tiny.card is not None
    card = tiny.card.model_copy(update={"name": "mine", "window_px": 96, "margin_px": 32})
    return save_model(tmp_path / "mine.safetensors", tiny.model, card, half=True)  # type: ignore[arg-type]


def objects(labels: np.ndarray, classes: dict[int, int]) -> PredictedInstances:
    ids = np.array(sorted(set(labels.ravel().tolist()) - {0}), np.int64)
    found = np.array([classes[i] for i in ids.tolist()], np.int64)
    return PredictedInstances(labels.astype(np.int32), ids, found, np.ones(len(ids)))


def test_agreement_by_counting_every_pair() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 6, (8, 8)).repeat(6, axis=0).repeat(6, axis=1)
    moved = np.roll(coarse, 1, axis=1) * (rng.random(coarse.shape) > 0.05)
    classes = [{i: int(rng.integers(1, 3)) for i in range(1, 6)} for _ in range(2)]
    found = agreement(objects(coarse, classes[0]), objects(moved, classes[1]))
    matched = same = 0
    for one in range(1, 6):
        for other in range(1, 6):
            a, b = coarse == one, moved == other
            if (a & b).sum() / (a | b).sum() > 0.5:
                matched += 1
                same += classes[0][one] == classes[1][other]
    assert (found.panoptic.tp, found.same_class) == (matched, same)
    assert matched == 5
    both = 2 * ((coarse > 0) & (moved > 0)).sum() / ((coarse > 0).sum() + (moved > 0).sum())
    assert found.dice.dice == pytest.approx(both)
    assert (found + found).classes == found.classes


def test_agreement_of_boxes_by_hand() -> None:
    """Of three and two boxes one pair overlaps by 90 of 110, one by 50 of 150: too little."""
    one = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [60, 0, 70, 10]], np.float32)
    other = np.array([[0, 1, 10, 11], [25, 0, 35, 10]], np.float32)
    found = box_agreement(one, other).panoptic
    assert (found.tp, found.fp, found.fn) == (1, 1, 2)
    assert found.sum_iou == pytest.approx(90 / 110)
    nothing = box_agreement(np.empty((0, 4)), other).panoptic
    assert (nothing.tp, nothing.fp, nothing.fn) == (0, 2, 0)


def test_boxes_are_compared_too(data: str) -> None:
    (found,) = measure_parity("random:single-signet_ring-tiny", data, split="train", ways=["bf16"])
    (boxes,) = found.tasks
    assert boxes.task == "signet_ring"
    assert boxes.n_objects > 0
    assert boxes.classes is None
    assert boxes.dice is None
    assert 0 < found.largest_difference < 1


def report(**changes: Any) -> ParityReport:
    fields: dict[str, Any] = {
        "mode": "exact",
        "precision": "bf16",
        "backend": "torch",
        "data": DATA,
        "bounds": ParityBounds(),
        "tasks": [TaskParity(task="nuclei", n_objects=9, pq=0.995, dice=0.999, classes=1.0)],
        "n_patches": 0,
        "tissue": None,
        "largest_difference": 0.1,
        "speed": 2.0,
        "windows_differ": False,
        "created_utc": "2026-01-02T03:04:05Z",
    }
    return ParityReport(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "passed"),
        ({"mode": "fast"}, "unmeasured"),
        ({"mode": "fast", "windows_differ": True}, "passed"),
        ({"bounds": ParityBounds(pq=0.999)}, "failed"),
        ({"n_patches": 2, "tissue": 0.5}, "failed"),
        ({"tasks": []}, "unmeasured"),
        ({"tasks": [], "n_patches": 2, "tissue": 1.0}, "passed"),
        (
            {"tasks": [TaskParity(task="gland", n_objects=0, pq=None, dice=None, classes=None)]},
            "unmeasured",
        ),
        (
            {"tasks": [TaskParity(task="gland", n_objects=0, pq=0.0, dice=0.0, classes=None)]},
            "failed",
        ),
    ],
)
def test_the_verdict(changes: dict[str, Any], verdict: str) -> None:
    assert report(**changes).verdict == verdict


def test_what_is_measured_is_what_predictions_give(model_file: Path, data: str) -> None:
    (fast,) = measure_parity(str(model_file), data, split="train", ways=["fast-bf16"])
    loaded = load_model(model_file)
    counts, others = PanopticCounts(), 0
    source = open_data(data, split="train")
    for record in source:
        one, other = (
            predict_image(loaded, record.image, record.mpp, options=options).instances["nuclei"]
            for options in (RunOptions(), RunOptions("fast", "bf16"))
        )
        counts += panoptic_counts(overlap(one.labels, other.labels))
        others += len(one.ids)
    (nuclei,) = (task for task in fast.tasks if task.task == "nuclei")
    assert nuclei.n_objects == others > 0
    assert nuclei.pq == pytest.approx(counts.quality().pq)
    assert 0 < nuclei.pq < 1
    assert fast.windows_differ
    assert 0 < fast.largest_difference < 1
    assert fast.data.n_images == len(source)


def test_the_card_keeps_it_and_eval_reads_it(model_file: Path, data: str) -> None:
    before = load_model(model_file)
    arguments = ["parity", str(model_file), "--data", data, "--split", "train", "--images", "1"]
    lenient = ["--min-pq", "0", "--min-dice", "0", "--min-classes", "0", "--min-tissue", "0"]
    done = CliRunner().invoke(
        app, [*arguments, *lenient, "--modes", "bf16", "--write", "--json"], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert [(r["way"], r["verdict"]) for r in json.loads(done.stdout)] == [("bf16", "passed")]
    after = load_model(model_file)
    assert after.file_sha256 != before.file_sha256
    for key, value in before.model.state_dict().items():
        assert value.equal(after.model.state_dict()[key])
    inference = find_model(str(model_file), precision="bf16").info.inference
    assert inference is not None
    assert inference.parity == "passed"
    strict = ["--modes", "bf16", "--write", "--min-pq", "1", "--min-dice", "1"]
    done = CliRunner().invoke(app, [*arguments, *strict], catch_exceptions=False)
    assert done.exit_code == 1
    assert "failed" in done.stdout
    card = load_model(model_file).card
    assert card is not None
    assert [entry.verdict for entry in card.parity] == ["failed"]
    inference = find_model(str(model_file), precision="bf16").info.inference
    assert inference is not None
    assert inference.parity == "failed"


def test_a_mosaic_lets_fast_mode_show_itself(data: str, tmp_path: Path) -> None:
    """56 x 77 px fit one window that keeps 80, and 112 x 154 px need four."""
    model = create("single-lumen-tiny")
    card = make_card(model, "single-lumen-tiny", window_px=208, margin_px=64)
    name = str(save_model(tmp_path / "lumen.pt", model, card))
    single, four = (
        measure_parity(name, data, split="official:train", ways=["fast"], mosaic=mosaic)[0]
        for mosaic in (1, 2)
    )
    assert (single.windows_differ, single.data.n_images) == (False, 4)
    assert single.verdict == "unmeasured"
    assert (four.windows_differ, four.data.n_images) == (True, 1)
    with pytest.raises(DataError, match=r"9 x 9 images needs 81"):
        measure_parity(name, data, split="train", ways=["fast"], mosaic=9)


def test_wrong_use_is_refused_before_anything_runs(data: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'quick' is no way.*fast-bf16"):
        measure_parity("cerberus-tiny", data, ways=["quick"])
    with pytest.raises(DataError, match="ships with the package"):
        measure_parity("cerberus-tiny", data, write=True)
    with pytest.raises(DataError, match="is none"):
        measure_parity(str(tmp_path / "absent.pt"), data, write=True)
