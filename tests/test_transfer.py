"""Transfer: what is taken over and stays, and first weights compared under one recipe."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import consep, digestpath
from small_recipes import write_small_recipe
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.model_zoo import create, make_card, save_model
from cerberus_bench.model_zoo.checkpoint import load_model
from cerberus_bench.model_zoo.recipe import load_recipe
from cerberus_bench.model_zoo.runner import predict_image
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import ResultRecord, TrainedOn
from cerberus_bench.workflows.harmonize import harmonize
from cerberus_bench.workflows.train import train
from cerberus_bench.workflows.transfer import transfer

SEEN = TrainedOn(
    dataset="glas", version="1", fingerprint="f", split="train", fold=3, groups=["g"], origins=[]
)
FROZEN = '[initial]\nfreeze_encoder = true\noutputs = ["nuclei.instance"]\n\n[batches]'


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("nuclei")
    source = consep.write(folder / "source", tuple(f"train_{i}" for i in range(1, 13)))
    harmonize("consep", source, folder / "consep", allow_partial=True)
    return str(folder / "consep")


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rings")
    source = digestpath.write_signet(
        folder / "source", None, digestpath.MANY_POSITIVE, digestpath.MANY_NEGATIVE
    )
    harmonize("digestpath_signet", source, folder / "signet", allow_partial=True)
    return str(folder / "signet")


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two tasks that says what it was trained on."""
    torch.manual_seed(5)
    model = create("cerberus-tiny", ["nuclei", "gland"])
    card = make_card(model, "cerberus-tiny", trained_on=[SEEN])
    return save_model(tmp_path_factory.mktemp("multi") / "multi.pt", model, card)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("recipe")
    return str(write_small_recipe(folder / "frozen.toml", {"[batches]": FROZEN}))


@pytest.mark.parametrize("name", ["transfer-nuclear-classification", "transfer-signet-ring"])
def test_the_recipes_differ_from_the_default_in_what_they_say_they_do(name: str) -> None:
    recipe, default = load_recipe(name), load_recipe()
    assert recipe.initial is not None
    assert recipe.initial.freeze_encoder is (name == "transfer-nuclear-classification")
    assert recipe.augmentation == default.augmentation
    assert recipe.optimiser == default.optimiser
    assert recipe.losses.nuclei_classes == default.losses.nuclei_classes


def test_recipes_from_before_there_were_first_weights_keep_their_hash() -> None:
    card = load_model("cerberus-tiny").card
    assert card is not None
    assert load_recipe("tiny-phantom").sha256 == card.recipe_sha256
    default = load_recipe()
    changed = default.model_copy(update={"initial": load_recipe("transfer-signet-ring").initial})
    assert changed.sha256 != default.sha256


def test_classes_are_learnt_afterwards_and_the_objects_stay(
    nuclei: str, multi: Path, recipe: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"data": [nuclei], "tasks": ["nuclei"], "recipe": recipe}
    done = train(out=tmp_path / "run", encoder_weights=multi, **options)
    assert done["frozen"] == ["nuclei.instance"]
    assert set(done["validation"]) == {"score", "nuclei.type"}
    with (tmp_path / "run" / "log.csv").open() as file:
        assert csv.DictReader(file).fieldnames[-2:] == ["loss", "nuclei.type"]  # type: ignore[index]
    before, after = load_model(multi), load_model(done["model"])
    assert after.card is not None
    assert SEEN in (after.card.trained_on or [])
    assert after.card.provenance["outputs_taken_over"] == "nuclei.instance"
    old, new = before.model.state_dict(), after.model.state_dict()
    moved = {key.split(".")[1] for key in new if not torch.equal(new[key], old[key])}
    assert moved == {"nuclei_type"}
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    found = [predict_image(m, image, 0.5, tasks=["nuclei"]) for m in (before, after)]
    np.testing.assert_array_equal(*(f.instances["nuclei"].labels for f in found))


def test_what_the_weights_lack_is_trained_and_tuning_trains_all(
    nuclei: str, multi: Path, recipe: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"data": [nuclei], "tasks": ["nuclei"], "recipe": recipe, "steps": 1}
    with pytest.raises(DataError, match="--encoder-weights"):
        train(out=tmp_path / "none", **options)
    plain = tmp_path / "resnet.pth"
    torch.save(create("cerberus-tiny").encoder.state_dict(), plain)
    done = train(out=tmp_path / "plain", encoder_weights=plain, **options)
    assert done["frozen"] == []
    assert {"nuclei.instance", "nuclei.type"} < set(done["validation"])
    tuned = train(out=tmp_path / "tuned", encoder_weights=multi, freeze_encoder=False, **options)
    assert tuned["frozen"] == []
    old, new = (load_model(m).model.state_dict() for m in (multi, tuned["model"]))
    assert not torch.equal(old["encoder.conv1.weight"], new["encoder.conv1.weight"])
    key = "decoders.nuclei_instance.step1.conv1.conv.weight"
    assert 0 < (old[key] - new[key]).abs().max() < 0.02, "it started from the old ones"


def test_a_run_with_nothing_to_train_is_refused(nuclei: str, multi: Path, tmp_path: Path) -> None:
    all_of_it = FROZEN.replace('"nuclei.instance"', '"nuclei.instance", "nuclei.type"')
    recipe = str(write_small_recipe(tmp_path / "all.toml", {"[batches]": all_of_it}))
    with pytest.raises(DataError, match="nothing is left to train"):
        train(out=tmp_path, data=[nuclei], tasks=["nuclei"], recipe=recipe, encoder_weights=multi)


def test_first_weights_are_compared_and_what_is_made_is_kept(
    nuclei: str, multi: Path, recipe: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "task": "nuclei",
        "data": [nuclei],
        "recipe": recipe,
        "steps": 1,
        "seeds": 1,
        "out": tmp_path / "runs",
        "results": tmp_path / "results",
    }
    pattern = str(multi).replace("multi.pt", "m{fold}-{seed}.pt")
    multi.with_name("m3-0.pt").write_bytes(multi.read_bytes())
    done = transfer(initial=["random", f"multi={pattern}"], **options)
    assert done["runs_made"] == 2
    cards = {
        name: load_model(tmp_path / "runs" / f"{name}-seed0-fold3" / "model.pt").card
        for name in ("random", "multi")
    }
    steps = [card.provenance["training_step"] for card in cards.values() if card]
    assert steps == [1, 1]
    assert len({card.recipe_sha256 for card in cards.values() if card}) == 1
    assert "encoder_weights_sha256" not in cards["random"].provenance  # type: ignore[union-attr]
    assert cards["multi"].provenance["encoder_frozen"] is True  # type: ignore[union-attr]
    names = {
        ResultRecord.model_validate_json(Path(file).read_text()).model.name
        for files in done["results"].values()
        for file in files
    }
    assert names == {"nuclei-from-random-frozen-tiny", "nuclei-from-multi-frozen-tiny"}
    assert transfer(initial=["random", f"multi={pattern}"], **options)["runs_made"] == 0
    with pytest.raises(DataError, match="another experiment: initial"):
        transfer(initial=["random", f"other={multi}"], **options)


def test_the_verb_compares_signet_rings(rings: str, multi: Path, tmp_path: Path) -> None:
    recipe = write_small_recipe(tmp_path / "recipe.toml")
    arguments = [
        *("experiment", "transfer", "--task", "signet_ring", "--data", rings),
        *("--init", "random", "--init", f"multi={multi}", "--recipe", str(recipe)),
        *("--steps", "1", "--seeds", "1"),
        *("--out", str(tmp_path / "runs"), "--results", str(tmp_path / "results")),
    ]
    shown = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert "2 networks (2 made now), 1 steps each" in shown.stdout
    assert "FROC" in shown.stdout
    printed = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert json.loads(printed.stdout)["plan"]["frozen"] is False


@pytest.mark.parametrize(
    ("task", "initial", "said"),
    [
        ("gland", ["random", "multi=cerberus-tiny"], "transfer is to one of nuclei, signet_ring"),
        ("nuclei", ["random"], "nothing to compare"),
        ("nuclei", ["random", "random"], "two first weights are called random"),
        ("nuclei", ["random=file", "multi=cerberus-tiny"], "give random, or NAME=FILE"),
        ("nuclei", ["random", "multi"], "give random, or NAME=FILE"),
        ("nuclei", ["random", "a/b=file"], "give random, or NAME=FILE"),
        ("nuclei", ["random", "multi=nowhere.pt"], "nowhere.pt: cannot be read"),
        ("signet_ring", ["random", "multi=cerberus-tiny"], "do not annotate signet_ring"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_trained(
    task: str, initial: list[str], said: str, nuclei: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match=said):
        transfer(task=task, initial=initial, data=[nuclei], out=out, results=out)
    assert not out.exists()
