"""How fast a training step is, and the making of its targets: ours against the usual loop.

Ours is `train` itself with a shipped recipe, so a step is all that it does: waiting for its batch,
augmentation, forward and backward pass, clipping, AdamW, moving average, log. The two take turns,
step by step, in one process with the same threads; medians.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch

from benchmarks.inputs import changed
from benchmarks.plain_training import Crop, PlainBatch, loop_target, plain_loss, plain_step
from benchmarks.timing import Row, median_ms
from cerberus_bench.model_zoo import create, load_model
from cerberus_bench.model_zoo.augment import View
from cerberus_bench.model_zoo.batches import BatchMaker, TrainingPlan, Window
from cerberus_bench.model_zoo.cerberus import PATCH_OUTPUT, Cerberus
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.precision import choose_precision
from cerberus_bench.model_zoo.recipe import Recipe, load_recipe
from cerberus_bench.model_zoo.registry import OUTPUTS
from cerberus_bench.model_zoo.run_facts import TrainConfig, TrainProgress, TrainResult
from cerberus_bench.model_zoo.samples import Sample, SampleStore, codes_of
from cerberus_bench.model_zoo.targets import KERNEL_SIZES, instance_target
from cerberus_bench.model_zoo.training import train
from cerberus_bench.schema.record import Record
from cerberus_bench.workflows.data import open_data

TASKS = ("nuclei", "gland", "lumen", "tissue")
WINDOW, PATCH, SIZE = 448, 144, 2
"""Windows and patches of the paper, px, and how many of each a step has here."""
PAPER = {"size": SIZE, "crop": WINDOW, "patches": SIZE, "patch_crop": PATCH}
SCENE = 512
"""Side of the phantom's scenes, px."""
ONE_IN = 8
"""Share of the phantom that is trained on."""
WAIT_STEPS = 30


class Part:
    """Some records of the phantom in memory, scenes that have the truth of all dense outputs."""

    name, version, fingerprint = "phantom", "part", "part"

    def __init__(self) -> None:
        phantom = open_data("phantom", split="train")
        self.label_spaces = phantom.label_spaces
        few = (phantom[i] for i in range(0, len(phantom), ONE_IN))
        self.records = [r for r in few if r.tissue is not None or "gland" in r.instances]
        self.sample_ids = [record.sample_id for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, index: int) -> Record:
        return self.records[index]


part = cache(Part)


def rows() -> Iterator[Row]:
    yield from _targets()
    default = load_recipe("default")
    paper = changed(default, {"batches": PAPER})
    slow = default.model_copy(update={"precision": "float32"})
    yield _step("cerberus-resnet34", paper, turns=3)
    yield _step("cerberus-tiny", default, turns=7)
    yield _step("cerberus-tiny", slow, turns=7)
    yield _waiting(default)


def _targets() -> Iterator[Row]:
    """Of the corner of a scene that has as many instances of the task as half of them."""
    for task, size in KERNEL_SIZES.items():
        maps = [r.instances[task].labels for r in part() if task in r.instances]
        corners = [labels[:WINDOW, :WINDOW].astype(np.uint16) for labels in maps]
        usual = sorted(corners, key=lambda labels: len(np.unique(labels)))[len(corners) // 2]
        times = median_ms(
            lambda labels=usual, size=size: instance_target(labels, size),
            lambda labels=usual, size=size: loop_target(labels, size),
        )
        same = np.array_equal(instance_target(usual, size), loop_target(usual, size))
        what = f"target of {len(np.unique(usual)) - 1} instances, {task}, {WINDOW} px"
        yield Row(what, times[0], "a loop over instances", times[1], str(same))


def _step(architecture: str, recipe: Recipe, turns: int) -> Row:
    """Steps of `train` and of the plain loop in turns; the first and the last are not counted."""
    plain = plain_step(create(architecture), recipe.losses)
    ours: list[float] = []
    theirs: list[float] = []
    begin = 0.0

    def take_turns(now: TrainProgress) -> None:
        nonlocal begin
        if begin and now.validation is None:
            ours.append(time.perf_counter() - begin)
        if len(theirs) < turns:
            batch = _plain_batch(recipe, now.step)
            begin = time.perf_counter()
            plain(batch)
            theirs.append(time.perf_counter() - begin)
        begin = time.perf_counter()

    _train(architecture, recipe, turns + 2, take_turns)
    medians = [1000 * statistics.median(seconds) for seconds in (ours, theirs)]
    what = f"step of {architecture}, {_described(recipe)}"
    difference = f"loss {_loss_difference(recipe):.0e}"
    return Row(what, medians[0], "plain loop, float32", medians[1], difference)


def _described(recipe: Recipe) -> str:
    batches = recipe.batches
    kind = str(choose_precision(recipe.precision, torch.device("cpu"))).removeprefix("torch.")
    return (
        f"{batches.size} windows of {batches.crop} px, {batches.patches} patches of"
        f" {batches.patch_crop} px, six outputs, {kind}, threads: {torch.get_num_threads()}"
    )


def _train(
    architecture: str, recipe: Recipe, steps: int, tell: Callable[[TrainProgress], None]
) -> TrainResult:
    schedule = recipe.schedule.model_copy(
        update={"steps": steps, "validations": 1, "validation_windows": 1}
    )
    recipe = recipe.model_copy(update={"schedule": schedule})
    config = TrainConfig(architecture=architecture, tasks=TASKS, recipe=recipe)
    with tempfile.TemporaryDirectory() as folder:
        return train(config, [part()], [part()], Path(folder), on_progress=tell)


@cache
def _store() -> SampleStore:
    return SampleStore([part()], OUTPUTS, codes_of(OUTPUTS, [part()]))


def _corners(recipe: Recipe, step: int) -> tuple[list[Window], list[Window]]:
    """Windows and patches of a step, each the upper left corner of its record."""
    plan, batches = TrainingPlan(_store().entries, recipe, seed=1), recipe.batches
    sides = (plan.windows(step), batches.crop), (plan.patches(step), batches.patch_crop)
    windows, patches = (
        [Window(window.entry, View(side / 2, side / 2)) for window in found]
        for found, side in sides
    )
    return windows, patches


def _plain_batch(recipe: Recipe, step: int) -> PlainBatch:
    store = _store()
    windows, patches = _corners(recipe, step)
    samples = [store.get(window.entry) for window in patches]
    side = slice(0, recipe.batches.patch_crop)
    return PlainBatch(
        [_crop(store.get(window.entry), recipe.batches.crop) for window in windows],
        np.stack([sample.image[side, side] for sample in samples]),
        store.codes[PATCH_OUTPUT].single[[sample.patch_code for sample in samples]],
    )


def _crop(sample: Sample, side: int) -> Crop:
    corner = slice(0, side), slice(0, side)
    single = {task: _store().codes[f"{task}.type"].single for task in sample.codes}
    return Crop(
        sample.image[corner],
        {task: labels[corner] for task, labels in sample.labels.items()},
        {task: single[task][codes].clip(0) for task, codes in sample.codes.items()},
    )


def _loss_difference(recipe: Recipe) -> float:
    """Relative difference of our loss and the plain loop's, on the same whole scenes.

    Of whole scenes, because ours sees what lies around a window and the plain loop does not.
    """
    recipe = changed(recipe, {"batches": PAPER | {"crop": SCENE}})
    model = load_model("cerberus-tiny").model
    assert isinstance(model, Cerberus)
    store, cpu = _store(), torch.device("cpu")
    objective = Objective(store.codes, recipe.losses, cpu, torch.float32)
    batch = BatchMaker(store, recipe).make(*_corners(recipe, 0))
    with torch.inference_mode():
        sums = objective.sums(objective.logits(model, batch), batch)
        ours = objective.total({name: each.loss() for name, each in sums.items()}).item()
        plain = plain_loss(model, _plain_batch(recipe, 0), recipe.losses).item()
    return abs(ours - plain) / plain


def _waiting(recipe: Recipe) -> Row:
    """Without turns: whoever prepares batches has no time to spare."""
    times: list[float] = []
    done = _train("cerberus-tiny", recipe, WAIT_STEPS, lambda _: times.append(time.perf_counter()))
    step_ms = 1000 * statistics.median(np.diff(times)[:-1])
    what = f"step of cerberus-tiny, no turns, {done.wait_share:.2%} of it waiting for its batch"
    return Row(what, step_ms, "none", None, "")
