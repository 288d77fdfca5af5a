"""Signet ring cells from records to boxes: what is drawn, what partial boxing teaches, learning."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from fakes import digestpath
from small_recipes import write_small_recipe
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.model_zoo.augment import View
from cerberus_bench.model_zoo.batches import BatchMaker, TrainingPlan, ValidationPlan, Window
from cerberus_bench.model_zoo.boxes import KNOWN, OPEN, centre_boxes
from cerberus_bench.model_zoo.checkpoint import load_model, untrained
from cerberus_bench.model_zoo.recipe import Recipe, load_recipe
from cerberus_bench.model_zoo.registry import ADDED
from cerberus_bench.model_zoo.run_facts import TrainConfig
from cerberus_bench.model_zoo.runner import predict_image
from cerberus_bench.model_zoo.samples import SampleStore
from cerberus_bench.model_zoo.training import train
from cerberus_bench.schema.boxes import hits
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.record import Coverage, Record
from cerberus_bench.schema.tasks import SIGNET_RING
from cerberus_bench.workflows.harmonize import harmonize

SIDE = 96


class Rings:
    """Records of rings, which are boxed, and discs, which are not; the first half has no rings."""

    name, version, fingerprint = "rings", "1", "rings"
    label_spaces: Mapping[str, LabelSpace] = {"signet_ring": SIGNET_RING.labels}

    def __init__(self, n: int = 8, coverage: Coverage = Coverage.FULL) -> None:
        self._n, self._coverage = n, coverage

    @property
    def sample_ids(self) -> list[str]:
        return [f"rings/{i}" for i in range(self._n)]

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(self._n))

    def __getitem__(self, index: int) -> Record:
        rng = np.random.default_rng(index)
        image = np.full((SIDE, SIDE, 3), 220, np.uint8)
        has_rings = index >= self._n // 2
        boxes = []
        for x, y in ((20, 22), (70, 25), (24, 70), (72, 70)):
            radius = int(rng.integers(9, 14))
            is_ring = has_rings and rng.random() < 0.7
            cv2.circle(image, (x, y), radius, (90, 60, 150), 3 if is_ring else -1)
            if is_ring:
                boxes.append((x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1))
        return Record(
            sample_id=f"rings/{index}",
            dataset="rings",
            record=str(index),
            image=image,
            mpp=0.5,
            native_mpp=0.5,
            coverage={"signet_ring": self._coverage if boxes else Coverage.FULL},
            group=f"rings/{index}",
            group_level="slide",
            signet_ring=np.array(boxes, np.float32).reshape(-1, 4),
        )


def small_recipe(**schedule: object) -> Recipe:
    recipe = load_recipe("transfer-signet-ring")
    fast = {"steps": 4, "validations": 2, "validation_windows": 8, **schedule}
    off = ("stain", "blur", "noise", "brightness", "contrast", "rotation")
    plain = {**dict.fromkeys(off, 0.0), "scale": 1.0}
    return recipe.model_copy(
        update={
            "batches": recipe.batches.model_copy(update={"size": 4, "crop": 64}),
            "schedule": recipe.schedule.model_copy(update=fast),
            "augmentation": recipe.augmentation.model_copy(update=plain),
            "optimiser": recipe.optimiser.model_copy(update={"ema_decay": 0.9}),
            "precision": "float32",
        }
    )


def config(recipe: Recipe, **changes: object) -> TrainConfig:
    base = TrainConfig(
        architecture="cerberus-tiny", tasks=("signet_ring",), recipe=recipe, seed=1, threads=1
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def store(source: Rings) -> SampleStore:
    return SampleStore([source], ADDED, {})


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_half_of_the_windows_come_from_records_with_cells() -> None:
    samples = store(Rings(12))
    with_cells = [entry for entry in samples.entries if entry.has_boxes]
    assert 0 < len(with_cells) <= 6
    few = [*with_cells[:1], *(entry for entry in samples.entries if not entry.has_boxes)]
    plan = TrainingPlan(few, small_recipe(), seed=0)
    for step in range(4):
        assert [w.entry.has_boxes for w in plan.windows(step)] == [True, True, False, False]
    validation = ValidationPlan(samples.entries, small_recipe(validation_windows=8)).windows
    assert sum(w.entry.has_boxes for w in validation) == len(validation) // 2 == 4


@pytest.mark.parametrize(
    ("coverage", "valid", "is_open"),
    [
        (Coverage.FULL, False, False),
        (Coverage.PARTIAL, False, True),
        (Coverage.PARTIAL, True, False),
    ],
)
def test_background_is_open_where_not_every_cell_is_boxed(
    coverage: Coverage, valid: bool, is_open: bool
) -> None:
    class Masked(Rings):
        def __getitem__(self, index: int) -> Record:
            record = super().__getitem__(index)
            mask = np.ones((SIDE, SIDE), np.bool_)
            return dataclasses.replace(record, valid=mask) if valid else record

    source = Masked(4, coverage)
    samples = store(source)
    windows = [Window(samples.entries[i], View(48, 48, turn=6)) for i in (0, 3)]
    target = BatchMaker(samples, small_recipe()).make(windows, []).targets["signet_ring.box"]
    assert target.shape == (2, 8, 16, 16)
    assert (target[0, KNOWN] == 1).all(), "a record without cells is complete"
    assert bool(target[1, OPEN].any()) is is_open
    boxes = source[3].signet_ring
    assert boxes is not None
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((middle > 15.5) & (middle < 79.5)).all(1)
    assert len(centre_boxes(target[1].numpy())) == inside.sum() > 0


def test_rings_are_learnt_and_discs_are_not_taken_for_them(tmp_path: Path) -> None:
    recipe = small_recipe(steps=50, validations=1, validation_windows=32, warmup=0.1)
    adam = recipe.optimiser.model_copy(update={"learning_rate": 5e-3})
    source = Rings()
    settings = config(recipe.model_copy(update={"optimiser": adam}))
    result = train(settings, [source], [source], tmp_path)
    assert result.card.label_spaces == {"signet_ring": ["signet_ring_cell"]}
    assert result.best_score > 0.8

    def f1(loaded: object) -> float:
        tp = n = 0
        for record in source:
            found = predict_image(loaded, record.image, record.mpp)  # type: ignore[arg-type]
            assert found.boxes is not None
            assert found.box_scores is not None
            assert record.signet_ring is not None
            truth, boxes = record.signet_ring.astype(float), found.boxes.astype(float)
            tp += int(hits(truth, boxes, found.box_scores, 0.3).sum())
            n += len(truth) + len(boxes)
        return 2 * tp / n

    assert f1(load_model(result.model)) > 0.6
    assert f1(untrained("single-signet_ring-tiny")) < 0.2


def test_boxes_lie_on_the_grid_of_the_image(tmp_path: Path) -> None:
    loaded = untrained("single-signet_ring-tiny", seed=2)
    image = Rings()[6].image
    double = cv2.resize(image, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_NEAREST)
    one, two = predict_image(loaded, image, 0.5), predict_image(loaded, double, 0.25)
    assert one.boxes is not None
    assert two.boxes is not None
    assert one.tasks == two.tasks == ("signet_ring",)
    assert len(one.boxes) > 0
    np.testing.assert_allclose(two.boxes, one.boxes * 2 + 0.5, atol=1e-3)


def test_boxes_go_from_training_to_results_and_tables(tmp_path: Path) -> None:
    source = digestpath.write_signet(
        tmp_path / "source", None, digestpath.MANY_POSITIVE, digestpath.MANY_NEGATIVE
    )
    data, model = tmp_path / "data", tmp_path / "run" / "model.pt"
    harmonize("digestpath_signet", source, data, allow_partial=True)
    recipe = write_small_recipe(tmp_path / "recipe.toml", {"warmup = 0.05": "warmup = 0.0"})
    run(
        "train", "--tasks", "signet_ring", "--data", data, "--recipe", recipe, "--out", model.parent
    )
    out, kept = tmp_path / "results", tmp_path / "predictions"
    (done,) = json.loads(
        run(
            "eval", model, "--data", data, "--out", out, "--predictions", kept, "--report", "--json"
        )
    )
    scores = {s["metric"]: s["value"] for s in done["result"]["report"]["scores"]}
    assert {"froc", "f1", "recall", "false_positive_score", "coco_ap"} <= set(scores)
    folder = kept / "digestpath_signet"
    (again,) = json.loads(run("score", folder, "--data", data, "--out", out / "again", "--json"))
    assert again["result"]["report"] == done["result"]["report"]
    image = sorted(source.rglob("*.jpeg"))[0]
    (summary,) = json.loads(
        run("predict", image, "--model", model, "--mpp", 0.25, "--out", tmp_path / "p", "--json")
    )
    table = (tmp_path / "p" / image.stem / "boxes.csv").read_text().splitlines()
    assert table[0] == "x0,y0,x1,y1,score"
    assert len(table) - 1 == summary["objects"]["signet_ring"]


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout
