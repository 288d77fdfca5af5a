"""Results say how the network was run, and no board mixes the ways."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import glas
from result_builders import make_result, make_score
from stored_results import N_IMAGES, image_counts, put, ranks, result_of, store
from typer.testing import CliRunner

import cerberus_bench as cb
from cerberus_bench.cli.app import app
from cerberus_bench.leaderboard import board_rows, leaderboard
from cerberus_bench.leaderboard.seeds import seed_spreads
from cerberus_bench.leaderboard.store import read_results
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import Inference, read_result
from cerberus_bench.workflows.harmonize import harmonize
from cerberus_bench.workflows.models import find_model
from cerberus_bench.workflows.networks import parity_warning
from cerberus_bench.workflows.score import score_folder

RANDOM = "random:single-gland-tiny"
FAST = Inference(mode="fast", precision="bf16", parity="unmeasured")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glas")
    harmonize("glas", glas.write(folder / "source"), folder / "data", allow_partial=True)
    return folder / "data"


def ran(inference: Inference | None) -> dict[str, Any]:
    return {"model": {"file_sha256": "ab" * 32, "inference": inference}}


def test_a_variant_names_what_is_not_usual() -> None:
    assert Inference().variant == ""
    assert Inference(precision="bf16").variant == "bf16"
    assert Inference(mode="fast", backend="openvino").variant == "fast-openvino"
    assert make_result(model={"inference": None}).model.variant == ""


def test_each_way_has_a_file_of_its_own() -> None:
    usual = make_result(model={"inference": Inference()}).relative_path()
    assert usual == make_result().relative_path()
    fast = make_result(model={"inference": FAST}).relative_path()
    assert fast.parent == usual.parent
    assert fast.name == "test-fold0-fast-bf16.json"


def test_how_it_ran_comes_back_and_is_read_strictly(tmp_path: Path) -> None:
    result = make_result(make_score(), model={"inference": FAST})
    path = tmp_path / "result.json"
    path.write_text(result.to_json(), encoding="utf-8")
    assert read_result(path) == result
    path.write_text(result.to_json().replace('"fast"', '"hasty"'), encoding="utf-8")
    with pytest.raises(DataError, match=r"model\.inference\.mode"):
        read_result(path)


def test_a_board_sets_the_ways_apart(tmp_path: Path) -> None:
    wobble = np.arange(N_IMAGES) % 2
    put(tmp_path, "net", 8 - wobble, **ran(Inference()))
    put(tmp_path, "net", 3 + wobble, **ran(FAST))
    board = leaderboard(tmp_path)
    assert ranks(board) == {"net": "1", "net (fast-bf16)": "2"}
    assert {row["model"]: row["variant"] for row in board_rows(board)} == {
        "net": "",
        "net (fast-bf16)": "fast-bf16",
    }


def test_seeds_of_two_ways_are_no_spread(tmp_path: Path) -> None:
    for seed, inference in enumerate((Inference(), FAST)):
        model = {"file_sha256": f"{seed}" * 64, "seed": seed, "inference": inference}
        put(tmp_path, "net", np.full(N_IMAGES, 5 + seed), model=model)
    (table,) = leaderboard(tmp_path).tables
    assert len(table.entries) == 2
    assert seed_spreads(table) == []


def test_an_older_result_is_a_copy_of_one_that_states_the_usual_way(tmp_path: Path) -> None:
    found = image_counts(np.full(N_IMAGES, 5))
    for folder, inference in (("old", None), ("new", Inference())):
        result = result_of("net", found, **ran(inference))
        store(tmp_path / folder, result, {"nuclei": found})
    assert len(read_results(tmp_path)) == 1


def test_eval_warns_and_states_how_it_ran(data: Path, tmp_path: Path) -> None:
    out, predictions = tmp_path / "results", tmp_path / "predictions"
    way = ["--mode", "fast", "--precision", "bf16", "--predictions", str(predictions)]
    arguments = ["eval", RANDOM, "--data", str(data), "--out", str(out), "--json", *way]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "runs as fast-bf16" in " ".join(done.stderr.split())
    result = read_result(Path(json.loads(done.stdout)[0]["result_path"]))
    assert result.model.inference == FAST
    assert score_folder(predictions / "glas", str(data)).result.model == result.model


def test_evaluate_warns_and_takes_names_only(data: Path) -> None:
    with pytest.warns(UserWarning, match="runs as bf16"):
        (result,) = cb.evaluate(RANDOM, [str(data)], precision="bf16")
    assert result.model.variant == "bf16"
    with pytest.raises(DataError, match="by its name"):
        cb.evaluate(find_model(RANDOM), [str(data)], mode="fast")


def test_the_usual_way_is_stated_and_nothing_to_warn_of() -> None:
    info = find_model(RANDOM).info
    assert info.inference == Inference()
    assert parity_warning(info) is None


def test_what_is_no_network_has_no_modes() -> None:
    with pytest.raises(DataError, match=r"classical-watershed is no network.*--mode"):
        find_model("classical-watershed", mode="fast")
