"""Training on seeded blobs: batches, resume, partial truth, and that something is learnt."""

import csv
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cerberus_bench.model_zoo.augment import View, cut, random_view, recolour, turned
from cerberus_bench.model_zoo.batches import (
    BatchMaker,
    TrainingPlan,
    Window,
    prefetched,
    random_stream,
    tile_views,
)
from cerberus_bench.model_zoo.checkpoint import load_model
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.recipe import Recipe, load_recipe
from cerberus_bench.model_zoo.registry import OUTPUTS, create
from cerberus_bench.model_zoo.run_facts import TrainConfig, TrainProgress, TrainResult
from cerberus_bench.model_zoo.samples import SampleStore, codes_of
from cerberus_bench.model_zoo.targets import IGNORED, border_weights, instance_target
from cerberus_bench.model_zoo.training import CHECKPOINT, MODEL, train
from cerberus_bench.schema.errors import CerberusBenchError, DataError
from cerberus_bench.schema.labels import LabelSpace
from cerberus_bench.schema.record import Coverage, Instances, Record
from cerberus_bench.schema.result import TrainingBudget
from cerberus_bench.schema.tasks import NUCLEI, TISSUE

SPACES = {
    "nuclei": NUCLEI.labels,
    "gland": LabelSpace("gland", ("benign", "malignant", "surface_epithelium")),
    "tissue": TISSUE.labels,
}


class Blobs:
    """A record source: dark discs (nuclei), large discs (glands), patches of one colour."""

    def __init__(
        self,
        name: str,
        n: int,
        tasks: tuple[str, ...],
        spaces: Mapping[str, LabelSpace] = SPACES,
        side: int = 96,
    ) -> None:
        self.name, self.version, self.fingerprint = name, "1", f"{name}-{n}"
        self.label_spaces = spaces
        self._n, self._tasks, self._side = n, tasks, side

    @property
    def sample_ids(self) -> list[str]:
        return [f"{self.name}/{i}" for i in range(self._n)]

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(self._n))

    def __getitem__(self, index: int) -> Record:
        rng = np.random.default_rng([index, len(self.name)])
        image = np.full((self._side, self._side, 3), 220, np.uint8)
        instances = {}
        for task, radius, colour in (("gland", 18, (230, 150, 180)), ("nuclei", 5, (90, 60, 150))):
            if task not in self._tasks:
                continue
            labels = np.zeros((self._side, self._side), np.int32)
            for i in range(1, 4 if task == "gland" else 13):
                x, y = (int(v) for v in rng.integers(0, self._side, 2))
                cv2.circle(labels, (x, y), radius, i, -1)
            image[labels > 0] = colour
            ids = np.unique(labels[labels > 0]).astype(np.int64)
            n_classes = len(self.label_spaces[task].classes)
            instances[task] = Instances(labels, ids, 1 + ids % n_classes)
        tissue = None
        if "tissue" in self._tasks:
            tissue = index % 9
            image[:] = 20 + 25 * tissue
        return Record(
            sample_id=f"{self.name}/{index}",
            dataset=self.name,
            record=str(index),
            image=image,
            mpp=0.5,
            native_mpp=0.5,
            coverage=dict.fromkeys(self._tasks, Coverage.FULL),
            group=f"{self.name}/patient-{index // 2}",
            group_level="patient",
            instances=instances,
            tissue=tissue,
            origins=(f"{self.name}/origin-{index}",),
        )


SCENES = Blobs("scenes", 6, ("nuclei", "gland"))
PATCHES = Blobs("patches", 9, ("tissue",))


def small_recipe(**schedule: object) -> Recipe:
    recipe = load_recipe()
    batches = recipe.batches.model_copy(
        update={"size": 2, "crop": 64, "patches": 2, "patch_crop": 64}
    )
    fast = {"steps": 4, "validations": 2, "validation_windows": 4, **schedule}
    return recipe.model_copy(
        update={
            "batches": batches,
            "schedule": recipe.schedule.model_copy(update=fast),
            "precision": "float32",
        }
    )


def with_borders(gain: float) -> Recipe:
    recipe = small_recipe()
    losses = recipe.losses.model_copy(update={"border": gain})
    return recipe.model_copy(update={"losses": losses})


def config(**changes: object) -> TrainConfig:
    base = TrainConfig(
        architecture="cerberus-tiny",
        tasks=("nuclei", "gland", "tissue"),
        recipe=small_recipe(),
        seed=3,
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def run(out: Path, settings: TrainConfig | None = None, **more: object) -> TrainResult:
    sources = [SCENES, PATCHES]
    return train(settings or config(), sources, sources, out, **more)  # type: ignore[arg-type]


def store(*sources: Blobs) -> SampleStore:
    return SampleStore(sources, OUTPUTS, codes_of(OUTPUTS, sources))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- views and colours


def test_cut_agrees_between_slicing_and_warping() -> None:
    labels = np.arange(400, dtype=np.uint16).reshape(20, 20)
    view = View(9.0, 11.0)
    sliced = cut(labels, view, 8, smooth=False, border=cv2.BORDER_REPLICATE)
    nearly = dataclasses.replace(view, angle=1e-9)
    warped = cut(labels, nearly, 8, smooth=False, border=cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(sliced, labels[7:15, 5:13])
    np.testing.assert_array_equal(warped, sliced)


def test_scale_of_two_doubles_pixels() -> None:
    labels = np.arange(16, dtype=np.uint16).reshape(4, 4)
    window = cut(labels, View(2, 2, scale=2), 8, smooth=False, border=cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(window, labels.repeat(2, 0).repeat(2, 1))


def test_eight_turns_are_the_symmetries_of_the_square() -> None:
    array = np.arange(9).reshape(3, 3)
    assert len({turned(array, turn).tobytes() for turn in range(8)}) == 8


def test_views_lie_inside() -> None:
    recipe = load_recipe().augmentation.model_copy(update={"scale": 1.0, "rotation": 0.0})
    for seed in range(50):
        view = random_view(random_stream(seed), (100, 64), 64, recipe)
        assert view.x == 32
        assert 32 <= view.y <= 68


def test_recolouring_is_seeded_and_mild() -> None:
    images = torch.randint(60, 230, (3, 3, 32, 32), dtype=torch.uint8)
    recipe = load_recipe().augmentation
    once, again, other = (recolour(images, recipe, seed) for seed in (1, 1, 2))
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    assert not torch.equal(once, other)
    assert once.min() >= 0
    assert once.max() <= 255
    off = recipe.model_copy(
        update=dict.fromkeys(("stain", "brightness", "contrast", "blur", "noise"), 0.0)
    )
    torch.testing.assert_close(recolour(images, off, 1), images.float())
    none = recipe.model_copy(update={"brightness": 0.0, "contrast": 0.0, "blur": 0.0, "noise": 0.0})
    tiny = none.model_copy(update={"stain": 1e-9})
    torch.testing.assert_close(recolour(images, tiny, 1), images.float(), atol=0.05, rtol=0)


# --- batches


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    samples = store(SCENES, PATCHES)
    maker = BatchMaker(samples, small_recipe())

    def made(seed: int, step: int) -> torch.Tensor:
        plan = TrainingPlan(samples.entries, small_recipe(), seed)
        return maker.make(plan.windows(step), plan.patches(step)).images

    assert torch.equal(made(0, 7), made(0, 7))
    assert not torch.equal(made(0, 7), made(0, 8))
    assert not torch.equal(made(0, 7), made(1, 7))


def test_prefetching_keeps_the_order() -> None:
    samples = store(SCENES, PATCHES)
    recipe = small_recipe()
    plan, maker = TrainingPlan(samples.entries, recipe, 0), BatchMaker(samples, recipe)
    ahead = prefetched(lambda i: maker.make(plan.windows(i), plan.patches(i)), 5)
    for step in (5, 6, 7):
        expected = maker.make(plan.windows(step), plan.patches(step))
        assert torch.equal(next(ahead).images, expected.images)
    ahead.close()


def test_an_epoch_visits_every_record() -> None:
    samples = store(SCENES)
    recipe = small_recipe()
    plan = TrainingPlan(samples.entries, recipe, 0)
    n_steps = sum(max(1, round(96 * 96 / 64**2)) for _ in range(len(SCENES))) // 2
    only_nuclei = recipe.model_copy(
        update={"batches": recipe.batches.model_copy(update={"sampling": {"nuclei": 1.0}})}
    )
    plan = TrainingPlan(samples.entries, only_nuclei, 0)
    drawn = [w.entry.record for step in range(n_steps) for w in plan.windows(step)]
    assert np.bincount(drawn).tolist() == [2] * len(SCENES)


def test_tasks_are_drawn_by_their_weights() -> None:
    nuclei, glands = Blobs("n", 3, ("nuclei",)), Blobs("g", 5, ("gland",))
    recipe = small_recipe()
    batches = recipe.batches.model_copy(update={"size": 4, "sampling": {"nuclei": 3.0, "gland": 1}})
    plan = TrainingPlan(
        store(nuclei, glands).entries, recipe.model_copy(update={"batches": batches}), 0
    )
    for step in range(5):
        assert [w.entry.source for w in plan.windows(step)] == [0, 0, 0, 1]


def test_targets_of_a_window_are_those_of_the_whole_record() -> None:
    samples = store(SCENES)
    record = SCENES[0]
    maker = BatchMaker(samples, small_recipe())
    window = Window(samples.entries[0], View(40.0, 50.0, turn=5))
    batch = maker.make([window], [])
    whole = instance_target(record.instances["gland"].labels.astype(np.uint16), 11)
    expected = turned(whole[18:82, 8:72], 5)
    np.testing.assert_array_equal(batch.targets["gland.instance"][0].numpy(), expected)
    image = turned(record.image[18:82, 8:72], 5)
    np.testing.assert_array_equal(batch.images[0].permute(1, 2, 0).numpy(), image)
    assert not batch.weights


def test_border_weights_of_a_window_are_those_of_the_whole_record() -> None:
    samples = store(SCENES)
    window = Window(samples.entries[0], View(40.0, 50.0, turn=5))
    batch = BatchMaker(samples, with_borders(10.0)).make([window], [])
    labels = SCENES[0].instances["nuclei"].labels.astype(np.uint16)
    expected = turned(border_weights(labels, 3, 10.0)[18:82, 8:72], 5)
    np.testing.assert_allclose(batch.weights["nuclei.instance"][0].numpy(), expected, rtol=1e-6)
    assert expected.max() > 2
    assert set(batch.weights) == {"nuclei.instance", "gland.instance"}


def test_border_weights_are_learnt_with_and_recipes_without_keep_their_hash(tmp_path: Path) -> None:
    with_some, without = with_borders(10.0), with_borders(0.0)
    assert without.sha256 == small_recipe().sha256 != with_some.sha256
    recipes = {"some": with_some, "none": without}
    losses = {
        name: run(tmp_path / name, config(recipe=recipe)).card.validation
        for name, recipe in recipes.items()
    }
    assert losses["some"] != losses["none"]


def test_what_lies_outside_teaches_nothing() -> None:
    source = Blobs("small", 1, ("nuclei",), side=40)
    samples = store(source)
    batch = BatchMaker(samples, small_recipe()).make([Window(samples.entries[0], View(20, 20))], [])
    target = batch.targets["nuclei.instance"][0].numpy()
    assert (target[:12] == IGNORED).all()
    assert (target[:, 52:] == IGNORED).all()
    assert (target[12:52, 12:52] != IGNORED).all()
    assert not batch.targets["nuclei.type"][0].numpy()[:12].any()


def test_valid_mask_and_open_background_are_not_taught() -> None:
    class Partial(Blobs):
        def __getitem__(self, index: int) -> Record:
            record = super().__getitem__(index)
            coverage = {"nuclei": Coverage.PARTIAL}
            if index == 0:
                return dataclasses.replace(record, coverage=coverage)
            valid = np.zeros(record.image.shape[:2], bool)
            valid[:, :48] = True
            return dataclasses.replace(record, coverage=coverage, valid=valid)

    samples = store(Partial("partial", 2, ("nuclei",)))
    views = [Window(entry, View(48, 48)) for entry in samples.entries]
    target = BatchMaker(samples, small_recipe()).make(views, []).targets["nuclei.instance"]
    assert set(target[0].flatten().tolist()) == {1, 2, IGNORED}
    assert (target[1, :, 32:] == IGNORED).all()
    assert (target[1, :, :32] != IGNORED).all()


def test_tiles_cover_a_record() -> None:
    seen = np.zeros((100, 130), int)
    for view in tile_views(seen.shape, 64):
        top, left = int(view.y - 32), int(view.x - 32)
        seen[top : top + 64, left : left + 64] += 1
    assert seen.min() >= 1


def test_memory_is_bounded_and_content_stays() -> None:
    small = SampleStore([SCENES], OUTPUTS, codes_of(OUTPUTS, [SCENES]), max_bytes=1)
    large = store(SCENES)
    for entry in large.entries:
        np.testing.assert_array_equal(small.get(entry).image, large.get(entry).image)
    assert len(small._kept) == 1


# --- training


def test_a_run_writes_a_model_with_its_card(tmp_path: Path) -> None:
    seen: list[TrainProgress] = []
    result = run(tmp_path, on_progress=seen.append)
    assert [p.step for p in seen] == [1, 2, 3, 4]
    assert [p.validation is not None for p in seen] == [False, True, False, True]
    assert seen[-1].fraction == 1
    card = load_model(tmp_path / MODEL).card
    assert card == result.card
    assert card is not None
    assert card.tasks == ("nuclei", "gland", "tissue")
    assert card.recipe_sha256 == small_recipe().sha256
    assert card.budget == TrainingBudget(recipe="default", steps=4, windows=8, patches=8)
    assert load_model(tmp_path / MODEL).info().budget == card.budget
    assert card.trained_on is not None
    assert [(t.dataset, t.split) for t in card.trained_on] == [
        ("scenes", "train"),
        ("patches", "train"),
        ("scenes", "validation"),
        ("patches", "validation"),
    ]
    assert card.trained_on[0].groups == [f"scenes/patient-{i}" for i in range(3)]
    assert card.trained_on[0].origins == [f"scenes/origin-{i}" for i in range(6)]
    with (tmp_path / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


def test_resuming_is_exact(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(progress: TrainProgress) -> None:
        if progress.step == 3:  # after the checkpoint of step 2
            raise KilledError

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(whole)
    with pytest.raises(KilledError):
        run(parts, on_progress=kill)
    run(parts, resume=True)
    states = [torch.load(p / CHECKPOINT, weights_only=True) for p in (whole, parts)]
    for name in ("model", "average"):
        for key, value in states[0][name].items():
            assert torch.equal(value, states[1][name][key]), key
    rows = [list(csv.DictReader((p / "log.csv").open())) for p in (whole, parts)]
    losses = [[(r["step"], r["loss"], r["tissue"]) for r in each] for each in rows]
    assert losses[0] == losses[1]


def test_another_run_is_not_resumed_or_overwritten(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(DataError, match="--resume"):
        run(tmp_path)
    with pytest.raises(DataError, match="another recipe"):
        run(tmp_path, config(seed=4), resume=True)
    with pytest.raises(DataError, match="no checkpoint"):
        run(tmp_path / "empty", resume=True)


def test_only_outputs_with_truth_are_made(tmp_path: Path) -> None:
    unclassed = Blobs("unclassed", 2, ("nuclei",), {"nuclei": LabelSpace("nuclei", ("cell",))})
    result = train(
        config(tasks=("nuclei",), recipe=small_recipe(steps=1, validations=1)),
        [unclassed],
        [unclassed],
        tmp_path,
    )
    assert [o.name for o in result.card.network.outputs] == ["nuclei.instance"]
    assert result.card.label_spaces == {"nuclei": ["cell"]}


def test_decoders_without_truth_in_the_batch_stay_as_they_are(tmp_path: Path) -> None:
    # Only glands are sampled, so no step teaches nuclei.
    recipe = small_recipe(steps=2, validations=1)
    batches = recipe.batches.model_copy(update={"sampling": {"gland": 1.0}})
    nuclei, glands = Blobs("n", 2, ("nuclei",)), Blobs("g", 2, ("gland",))
    settings = config(
        tasks=("nuclei", "gland"), recipe=recipe.model_copy(update={"batches": batches})
    )
    train(settings, [nuclei, glands], [glands], tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        fresh = create(settings.architecture, ("nuclei", "gland")).state_dict()
    trained = torch.load(tmp_path / CHECKPOINT, weights_only=True)["model"]
    for key in fresh:
        if key.startswith(("decoders.nuclei", "heads.nuclei")):
            assert torch.equal(trained[key], fresh[key]), key
    assert not torch.equal(trained["encoder.conv1.weight"], fresh["encoder.conv1.weight"])


def test_outputs_that_validation_cannot_see_are_named(tmp_path: Path) -> None:
    settings = config(
        tasks=("nuclei", "gland"), recipe=small_recipe(steps=1, validations=1), max_minutes=5
    )
    glands = Blobs("g", 2, ("gland",))
    result = train(settings, [SCENES], [glands], tmp_path)
    assert result.unvalidated == ("nuclei.instance", "nuclei.type")


def test_validation_may_know_more_than_training(tmp_path: Path) -> None:
    unclassed = Blobs("unclassed", 2, ("nuclei",), {"nuclei": LabelSpace("nuclei", ("cell",))})
    settings = config(tasks=("nuclei",), recipe=small_recipe(steps=1, validations=1))
    result = train(settings, [unclassed], [SCENES, PATCHES], tmp_path)
    assert set(result.card.validation) == {"score", "nuclei.instance"}


def test_a_recipe_that_samples_nothing_is_refused(tmp_path: Path) -> None:
    recipe = small_recipe()
    batches = recipe.batches.model_copy(update={"sampling": {"lumen": 1.0}})
    settings = config(tasks=("gland",), recipe=recipe.model_copy(update={"batches": batches}))
    with pytest.raises(DataError, match="sampling"):
        train(settings, [SCENES], [SCENES], tmp_path)


def test_what_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lumen"):
        run(tmp_path, config(tasks=("nuclei", "lumen")))
    with pytest.raises(DataError, match="validation split"):
        train(config(), [SCENES, PATCHES], [], tmp_path / "b")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    recipe = small_recipe()
    wild = recipe.optimiser.model_copy(update={"learning_rate": 1e30, "clip_norm": 1e30})
    with pytest.raises(CerberusBenchError, match="not finite"):
        run(tmp_path, config(recipe=recipe.model_copy(update={"optimiser": wild})))


def test_time_ends_a_run(tmp_path: Path) -> None:
    result = run(tmp_path, config(recipe=small_recipe(steps=10**6), max_minutes=0.02))
    assert result.steps < 10**6
    assert result.card.validation["score"] >= 0


def test_it_learns(tmp_path: Path) -> None:
    recipe = small_recipe(steps=60, validations=1, warmup=0.1)
    recipe = recipe.model_copy(
        update={
            "optimiser": recipe.optimiser.model_copy(update={"learning_rate": 5e-3}),
            "augmentation": recipe.augmentation.model_copy(update={"scale": 1.0, "rotation": 0.0}),
        }
    )
    glands = Blobs("glands", 4, ("gland",))
    settings = config(recipe=recipe, tasks=("gland.instance",))
    result = train(settings, [glands], [glands], tmp_path)
    assert result.best_score > 0.3


def test_a_frozen_encoder_stays_as_it_was_and_what_it_saw_counts(tmp_path: Path) -> None:
    first = run(tmp_path / "first").model
    settings = config(encoder_weights=first, freeze_encoder=True, seed=4)
    second = load_model(run(tmp_path / "second", settings).model)
    encoder = {
        key: value
        for key, value in load_model(first).model.state_dict().items()
        if key.startswith("encoder.")
    }
    now = second.model.state_dict()
    assert all(torch.equal(value, now[key]) for key, value in encoder.items())
    assert second.card is not None
    assert second.card.provenance["encoder_frozen"] is True
    alone = dataclasses.replace(settings, tasks=("nuclei", "gland"))
    other = train(alone, [SCENES], [SCENES], tmp_path / "third").card
    assert {seen.dataset for seen in other.trained_on or ()} == {"scenes", "patches"}


def test_another_encoder_is_another_run(tmp_path: Path) -> None:
    first = run(tmp_path / "first").model
    run(tmp_path / "second", config(encoder_weights=first))
    with pytest.raises(DataError, match="another recipe, model, seed or data"):
        run(tmp_path / "second", config(), resume=True)


def test_frozen_outputs_are_left_out_unless_asked_for() -> None:
    samples = store(SCENES)
    batch = BatchMaker(samples, small_recipe()).make([Window(samples.entries[0], View(48, 48))], [])
    model = create("cerberus-tiny", ["nuclei"])
    objective = Objective(
        samples.codes,
        small_recipe().losses,
        torch.device("cpu"),
        torch.float32,
        ["nuclei.instance"],
    )
    assert set(objective.logits(model, batch)) == {"nuclei.type"}
    assert set(objective.logits(model, batch, frozen=True)) == {"nuclei.type", "nuclei.instance"}
