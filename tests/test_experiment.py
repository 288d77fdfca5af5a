"""Single-task against multi-task networks: the same budget for all, and what was made is kept."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import consep, glas
from small_recipes import write_small_recipe
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.model_zoo.checkpoint import load_model
from cerberus_bench.model_zoo.recipe import load_recipe
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import ResultRecord
from cerberus_bench.workflows.comparison import ExperimentProgress
from cerberus_bench.workflows.experiment import single_against_multi
from cerberus_bench.workflows.harmonize import harmonize

KINDS = ("multi", "nuclei", "gland")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Harmonised glands and nuclei."""
    folder = tmp_path_factory.mktemp("experiment")
    nuclei = consep.write(folder / "nuclei", tuple(f"train_{i}" for i in range(1, 13)))
    for name, source in (("glas", glas.write(folder / "glands")), ("consep", nuclei)):
        harmonize(name, source, folder / name, allow_partial=True)
    return str(folder / "glas"), str(folder / "consep")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_small_recipe(tmp_path_factory.mktemp("recipe") / "small.toml"))


@pytest.fixture(scope="module")
def experiment(
    data: tuple[str, str], recipe: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a finished experiment of two steps and one seed, and what it returned."""
    folder = tmp_path_factory.mktemp("made")
    options: dict[str, Any] = {
        "data": data,
        "recipe": recipe,
        "steps": 2,
        "seeds": 1,
        "out": folder / "runs",
        "results": folder / "results",
    }
    return options, single_against_multi(**options)


def test_every_network_has_the_same_budget(
    experiment: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    options, done = experiment
    assert done["runs"] == done["runs_made"] == len(KINDS)
    cards = [load_model(options["out"] / f"{kind}-seed0-fold3/model.pt").card for kind in KINDS]
    assert [card.provenance["training_step"] for card in cards if card] == [2, 2, 2]
    recipes = {card.recipe_sha256 for card in cards if card}
    assert recipes == {load_recipe(options["recipe"]).with_steps(2).sha256}


def test_each_network_is_scored_where_its_tasks_are_annotated(
    experiment: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    scored = {}
    for folder, files in experiment[1]["results"].items():
        records = [ResultRecord.model_validate_json(Path(f).read_text()) for f in files]
        scored[folder.split("-")[0]] = {record.data.name for record in records}
        assert {record.contamination.status for record in records} == {"clean"}
    assert scored == {"multi": {"glas", "consep"}, "gland": {"glas"}, "nuclei": {"consep"}}


def test_a_finished_experiment_is_not_made_again_and_more_seeds_join_it(
    experiment: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    options, done = experiment
    seen: list[ExperimentProgress] = []
    again = single_against_multi(**options, on_progress=seen.append)
    assert again["runs_made"] == 0
    assert again["results"] == done["results"]
    assert seen == []
    Path(done["results"]["gland-seed0-fold3"][0]).unlink()
    mended = single_against_multi(**options, on_progress=seen.append)
    assert mended["runs_made"] == 1
    assert mended["results"] == done["results"]
    assert {now.run.folder for now in seen} == {"gland-seed0-fold3"}
    assert all(now.training is None for now in seen), "a trained network is scored, not trained"


def test_another_experiment_does_not_mix_with_what_is_there(
    experiment: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    with pytest.raises(DataError, match=r"plan\.json is of another experiment: .*steps"):
        single_against_multi(**{**experiment[0], "steps": 3})


def test_one_task_is_no_comparison(data: tuple[str, str], recipe: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="name two tasks or more of gland"):
        single_against_multi(out=tmp_path, results=tmp_path, data=[data[0]], recipe=recipe)
    assert list(tmp_path.iterdir()) == []


def test_the_verb_prints_budget_and_board(
    experiment: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    options = experiment[0]
    arguments = [
        *("experiment", "stl-vs-mtl", "--data", ",".join(options["data"])),
        *("--recipe", options["recipe"], "--steps", "2", "--seeds", "1"),
        *("--out", str(options["out"]), "--results", str(options["results"])),
    ]
    shown = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert "3 networks (0 made now), 2 steps each" in shown.stdout
    assert "multi-tiny" in shown.stdout
    printed = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert json.loads(printed.stdout)["plan"]["seeds"] == [0]
