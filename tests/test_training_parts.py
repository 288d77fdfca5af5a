"""Batches in parts, in one process and in two: the gradient is that of the whole batch."""

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes import glas
from small_recipes import write_small_recipe
from torch import Tensor

from cerberus_bench.model_zoo.batches import Batch
from cerberus_bench.model_zoo.checkpoint import load_model
from cerberus_bench.model_zoo.losses import BoxSums, LossSums, sums_of, width_of
from cerberus_bench.model_zoo.objective import Objective
from cerberus_bench.model_zoo.processes import ALONE
from cerberus_bench.model_zoo.recipe import load_recipe
from cerberus_bench.model_zoo.registry import create
from cerberus_bench.model_zoo.run_facts import TrainConfig, parts_of
from cerberus_bench.model_zoo.step import GradientMaker, Part
from cerberus_bench.model_zoo.targets import ClassCodes
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.model import OutputSpec
from cerberus_bench.workflows.harmonize import harmonize

ROOT = Path(__file__).resolve().parent.parent
STILL = load_recipe().augmentation.model_copy(
    update={"stain": 0, "brightness": 0, "contrast": 0, "blur": 0, "noise": 0}
)
"""No change of colours, so that windows are the same in whatever part they are."""


def batch(rows: slice) -> Batch:
    """Some of eight windows; gland classes are known on the first three alone."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 3, 64, 64), generator=generator, dtype=torch.uint8)
    instances = torch.randint(0, 3, (8, 64, 64), generator=generator, dtype=torch.uint8)
    types = torch.randint(1, 3, (8, 64, 64), generator=generator, dtype=torch.uint8)
    chosen = range(8)[rows]
    typed = [row for row in chosen if row < 3]
    targets = {"gland.instance": instances[rows], "gland.type": types[typed]}
    places = {
        "gland.instance": tuple(range(len(chosen))),
        "gland.type": tuple(chosen.index(row) for row in typed),
    }
    if not typed:
        del targets["gland.type"], places["gland.type"]
    return Batch(
        images=images[rows],
        targets=targets,
        weights={},
        rows=places,
        patches=torch.empty((0, 3, 64, 64), dtype=torch.uint8),
        patch_codes=torch.empty(0, dtype=torch.uint8),
    )


def objective() -> Objective:
    membership = torch.eye(3, dtype=torch.bool).numpy()
    codes = {"gland.type": ClassCodes(membership, {})}
    return Objective(codes, load_recipe().losses, torch.device("cpu"), torch.float32)


def gradients(parts: list[Batch]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Losses and gradients of a network whose normalisation does not look at the batch."""
    torch.manual_seed(0)
    model = create("single-gland-tiny").eval()
    maker = GradientMaker(objective(), STILL, ALONE)
    losses, _ = maker(model, [Part(part, 1) for part in parts], len(parts))
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return losses, found


def test_parts_of_unequal_truth_give_the_gradient_of_the_whole() -> None:
    whole_losses, whole = gradients([batch(slice(None))])
    parts_losses, parts = gradients([batch(slice(0, 2)), batch(slice(2, 8))])
    assert whole.keys() == parts.keys()
    for name, loss in whole_losses.items():
        assert torch.allclose(loss, parts_losses[name], rtol=1e-5), name
    for name, gradient in whole.items():
        scale = gradient.abs().max() + 1e-12
        assert ((gradient - parts[name]).abs().max() / scale) < 1e-3, name


def test_a_mean_of_the_parts_losses_would_not() -> None:
    """The check above can fail: parts of unequal truth do not weigh the same."""
    whole, _ = gradients([batch(slice(None))])
    halves = [gradients([batch(rows)])[0] for rows in (slice(0, 2), slice(2, 8))]
    mean = torch.stack([half["gland.type"] for half in halves]).mean()
    assert not torch.allclose(mean, whole["gland.type"], rtol=1e-4)


def test_sums_survive_the_journey() -> None:
    maps = LossSums(*torch.arange(2.0), *torch.arange(9.0).view(3, 3))
    boxes = BoxSums(*torch.arange(4.0))
    for output, sums in (
        (OutputSpec("gland.type", 3), maps),
        (OutputSpec("gland.instance", 3), LossSums(*torch.arange(2.0))),
        (OutputSpec("signet_ring.box", 5), boxes),
    ):
        assert torch.equal(sums_of(output.name, sums.flat()).flat(), sums.flat())
        assert len(sums.flat()) == width_of(output)


@pytest.mark.parametrize(("parts", "said"), [(9, "in 9 parts"), (5, "in 5 parts")])
def test_a_batch_too_small_for_its_parts_is_refused(parts: int, said: str) -> None:
    settings = TrainConfig(
        architecture="cerberus-tiny", tasks=("gland",), recipe=load_recipe(), parts=parts
    )
    with pytest.raises(DataError, match=said):
        parts_of(settings, ALONE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


CANCELLED = ("conv.bias", "bn.running_mean")
"""A normalisation takes the bias before it away again: its gradient is rounding alone, of which
Adam makes whole steps."""


def test_two_processes_make_the_run_of_one_with_two_parts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    harmonize("glas", glas.write(tmp_path / "source"), data, allow_partial=True)
    recipe = write_small_recipe(
        tmp_path / "small.toml",
        {
            "seed = 0": 'seed = 0\nprecision = "float32"',
            "size = 8": "size = 4",
            "patches = 8": "patches = 4",
            "steps = 4000": "steps = 4",
            "learning_rate = 3e-3": "learning_rate = 1e-4",  # Adam blows rounding up
        },
    )
    verb = ["train", "--tasks", "gland", "--data", str(data), "--recipe", str(recipe), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    launcher = ["torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1"]
    launcher += ["--master_port", str(free_port()), "-m"]
    commands = {
        "one": [*verb, "--parts", "2", "--out", str(tmp_path / "one")],
        "two": [*verb, "--out", str(tmp_path / "two")],
    }
    for name, arguments in commands.items():
        start = [*(launcher if name == "two" else []), "cerberus_bench", *arguments]
        done = subprocess.run(
            [sys.executable, "-m", *start], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
    logs = [list(csv.DictReader((tmp_path / name / "log.csv").open())) for name in commands]
    for one, two in zip(*logs, strict=True):
        assert float(one["loss"]) == pytest.approx(float(two["loss"]), rel=1e-5)
    one, two = (load_model(tmp_path / name / "model.pt") for name in commands)
    for key, value in one.model.state_dict().items():
        if key.endswith(CANCELLED):
            continue
        assert torch.allclose(value.float(), two.model.state_dict()[key].float(), atol=1e-5), key
    assert one.card is not None
    assert two.card is not None
    assert one.card.provenance["parts"] == two.card.provenance["parts"] == 2
    assert one.card.provenance["processes"] == 1
    assert two.card.provenance["processes"] == 2
