"""What a run writes while it goes on, CSV, TensorBoard events, pictures; and how it resumes."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_signet import Rings
from test_training import PATCHES, SCENES, config, small_recipe, store

from cerberus_bench.model_zoo.batches import BatchMaker, ValidationPlan
from cerberus_bench.model_zoo.glimpses import Glimpse, GlimpsePlan
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.registry import ADDED, create
from cerberus_bench.model_zoo.run_facts import TrainProgress
from cerberus_bench.model_zoo.run_log import EVENTS, PICTURES, RunLog
from cerberus_bench.model_zoo.samples import SampleStore
from cerberus_bench.model_zoo.training import train
from cerberus_bench.pictures.draw import rgb
from cerberus_bench.pictures.overlay import class_colour
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.prediction import PredictedInstances
from cerberus_bench.schema.record import Instances
from cerberus_bench.schema.tasks import GLAND, NUCLEI
from cerberus_bench.workflows.training_pictures import validation_sheet

SOURCES = [SCENES, PATCHES]


class KilledError(Exception):
    pass


def kill(progress: TrainProgress) -> None:
    if progress.step == 3:  # after the checkpoint of step 2
        raise KilledError


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def read_events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / EVENTS)).Reload()


def test_events_are_the_csv_and_a_resumed_run_doubles_no_step(tmp_path: Path) -> None:
    settings = config(tensorboard=True)
    with pytest.raises(KilledError):
        train(settings, SOURCES, SOURCES, tmp_path, on_progress=kill, draw=validation_sheet)
    assert [e.step for e in read_events(tmp_path).Scalars("train/loss")] == [1, 2, 3]
    train(settings, SOURCES, SOURCES, tmp_path, resume=True, draw=validation_sheet)
    events = read_events(tmp_path)
    losses = events.Scalars("train/loss")
    assert [event.step for event in losses] == [1, 2, 3, 4]
    logged = [float(row["loss"]) for row in csv_rows(tmp_path / "log.csv")]
    assert [event.value for event in losses] == pytest.approx(logged, rel=1e-5)
    scores = events.Scalars("validation/score")
    assert [event.step for event in scores] == [2, 4]
    column = [float(row["loss gland.type"]) for row in csv_rows(tmp_path / "validation.csv")]
    of_glands = events.Scalars("validation/loss/gland.type")
    assert [event.value for event in of_glands] == pytest.approx(column, rel=1e-5)
    assert [event.step for event in events.Images("validation")] == [2, 4]


def test_events_are_written_before_the_checkpoint_of_their_step(tmp_path: Path) -> None:
    log = RunLog(tmp_path, ["tissue"], 0, tensorboard=True)
    log.step({"step": 1, "loss": 0.5})
    log.validation({"step": 1, "score": 0.25}, None)
    # the log is not closed, as in a process that is killed
    assert [event.value for event in read_events(tmp_path).Scalars("validation/score")] == [0.25]


def test_what_is_not_installed_is_named_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(DataError, match=r"pip install 'cerberus-bench\[tensorboard\]'"):
        train(config(tensorboard=True), [], [], tmp_path)
    recipe = small_recipe(steps=1, validations=1)
    train(config(recipe=recipe, tensorboard=None), SOURCES, SOURCES, tmp_path)
    assert not (tmp_path / EVENTS).exists()
    assert not (tmp_path / PICTURES).exists()
    assert len(csv_rows(tmp_path / "log.csv")) == 1


def test_a_resumed_run_keeps_pictures_up_to_its_checkpoint(tmp_path: Path) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    log = RunLog(tmp_path, [], 0, tensorboard=False)
    for step in (2, 4, 6):
        log.validation({"step": step, "score": 0.5}, picture)
    (tmp_path / PICTURES / "step-mine.png").touch()
    RunLog(tmp_path, [], 4, tensorboard=False)
    left = {path.name for path in (tmp_path / PICTURES).iterdir()}
    assert left == {"step-000002.png", "step-000004.png", "step-mine.png"}


def test_a_glimpse_is_the_record_and_its_truth() -> None:
    samples, recipe = store(*SOURCES), small_recipe()
    maker, plan = BatchMaker(samples, recipe), ValidationPlan(samples.entries, recipe)
    cpu = torch.device("cpu")
    objective = Objective(samples.codes, recipe.losses, cpu, torch.float32)
    glimpses = GlimpsePlan(samples, plan, maker, recipe.batches.crop)
    model = create("cerberus-tiny", ["nuclei", "gland", "tissue"])
    looked = glimpses.look(model, objective)
    again = glimpses.look(model, objective)
    assert [g.sample_id for g in looked] == [g.sample_id for g in again]
    windows = [g for g in looked if g.predicted_tissue is None]
    patches = [g for g in looked if g.predicted_tissue is not None]
    assert len(windows) == len(patches) == 4
    record = SCENES[0]
    first = windows[0]
    np.testing.assert_array_equal(first.image, record.image[:64, :64])
    # benign, malignant and surface epithelium are the glandular, the same, and the other class
    class_of = {"nuclei": range(7), "gland": (0, 1, 1, 2)}
    for task, classes in class_of.items():
        truth, whole = first.truth[task], record.instances[task]
        np.testing.assert_array_equal(truth.labels, whole.labels[:64, :64])
        assert truth.ids.tolist() == np.unique(truth.labels)[1:].tolist()
        annotated = dict(zip(whole.ids.tolist(), whole.classes.tolist(), strict=True))
        assert truth.classes.tolist() == [classes[annotated[i]] for i in truth.ids.tolist()]
    names = {g.sample_id: g.true_tissue for g in patches}
    assert names["patches/0"] == "background"
    assert set(first.prediction) == {"nuclei", "gland"}


def test_a_glimpse_of_boxed_cells() -> None:
    source, recipe = Rings(4), small_recipe()
    samples = SampleStore([source], ADDED, {})
    maker, plan = BatchMaker(samples, recipe), ValidationPlan(samples.entries, recipe)
    objective = Objective({}, recipe.losses, torch.device("cpu"), torch.float32)
    model = create("cerberus-tiny", ["signet_ring"])
    looked = GlimpsePlan(samples, plan, maker, recipe.batches.crop).look(model, objective)
    assert len(looked) == 4
    for glimpse in looked:
        record = source[int(glimpse.sample_id.removeprefix("rings/"))]
        assert glimpse.true_boxes is not None
        assert glimpse.predicted_boxes is not None
        assert record.signet_ring is not None
        corner = next(
            (x, y)
            for x in (0, 32)
            for y in (0, 32)
            if np.array_equal(record.image[y : y + 64, x : x + 64], glimpse.image)
        )
        np.testing.assert_allclose(glimpse.true_boxes, record.signet_ring - [*corner, *corner])
    assert sum(len(g.true_boxes) for g in looked if g.true_boxes is not None) > 0


def test_a_sheet_shows_input_truth_and_prediction_side_by_side() -> None:
    image = np.full((32, 32, 3), 200, np.uint8)
    labels = np.zeros((32, 32), np.int32)
    labels[8:20, 8:20] = 5
    one = np.array([5]), np.array([1])
    glimpse = Glimpse(
        "a/b",
        image,
        {"nuclei": NUCLEI.labels, "gland": GLAND.labels},
        truth={"gland": Instances(labels, *one)},
        prediction={"nuclei": PredictedInstances(labels, *one, np.ones(1))},
        predicted_boxes=np.array([[1, 1, 6, 6]], np.float32),
    )
    sheet = validation_sheet([glimpse])
    left, middle, right = (sheet[8:40, x : x + 32] for x in (8, 48, 88))
    np.testing.assert_array_equal(left, image)
    colours: Sequence[tuple[np.ndarray, str, str]] = [
        (middle, "gland", GLAND.labels.classes[0]),
        (right, "nuclei", NUCLEI.labels.classes[0]),
    ]
    for panel, task, name in colours:
        assert tuple(panel[8, 8]) == rgb(class_colour(task, name))
        assert tuple(panel[14, 14]) == (200, 200, 200)
    assert tuple(right[1, 1]) == rgb(class_colour("signet_ring", None))
    assert tuple(middle[1, 1]) == (200, 200, 200)


def test_a_run_keeps_a_picture_of_every_validation(tmp_path: Path) -> None:
    train(config(tensorboard=False), SOURCES, SOURCES, tmp_path, draw=validation_sheet)
    paths = sorted((tmp_path / PICTURES).iterdir())
    assert [path.name for path in paths] == ["step-000002.png", "step-000004.png"]
    sheet = cv2.imread(str(paths[0]))
    assert sheet is not None
    # four windows and four patches of 64 px, a row each, of three panels
    assert sheet.shape == (8 * (64 + 8 + 18) + 8, 3 * (64 + 8) + 8, 3)
    assert not (tmp_path / EVENTS).exists()
