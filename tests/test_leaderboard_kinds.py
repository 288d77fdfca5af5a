"""Single-task against multi-task networks: means over seeds, and their paired difference."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_results import N_IMAGES, put
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.eval.intervals import draw
from cerberus_bench.leaderboard import kinds_json, kinds_markdown, single_against_multi
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import TrainingBudget

ROOT = Path(__file__).parents[1]
FOUND = np.arange(N_IMAGES) % 3
"""What moves the images of one seed apart, of ten nuclei each."""
SINGLE, MULTI = (4, 5), (6, 8)
"""Nuclei that a network finds at least in every image, by seed."""
IOU = 0.8


def put_seeds(folder: Path, name: str, least: tuple[int, ...], **model: Any) -> None:
    for seed, n in enumerate(least):
        sha = f"{seed}{n}" * 32
        put(folder, name, n + FOUND, model={"seed": seed, "file_sha256": sha, **model})


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    put_seeds(tmp_path, "single-nuclei", SINGLE)
    put_seeds(tmp_path, "multi", MULTI, kind="multi", tasks=["nuclei", "gland"])
    put_seeds(tmp_path, "other-seeds", (7, 7, 7), kind="multi", tasks=["nuclei", "gland"])
    return tmp_path


def pq(found: np.ndarray) -> float:
    """PQ over images with ten nuclei each, nothing found in vain."""
    tp, fn = found.sum(), (10 - found).sum()
    return float(IOU * tp / (tp + fn / 2))


def test_means_over_seeds_are_compared_on_the_same_groups(experiment: Path) -> None:
    (duel,) = single_against_multi(experiment)
    assert (duel.single.name, duel.multi.name, duel.single.seeds) == (
        "single-nuclei",
        "multi",
        (0, 1),
    )
    single, multi = ([pq(n + FOUND) for n in least] for least in (SINGLE, MULTI))
    assert duel.pair.value == pytest.approx(np.mean(multi) - np.mean(single))

    times = draw(N_IMAGES)

    def means(least: tuple[int, ...]) -> np.ndarray:
        forms = []
        for n in least:
            tp = times @ (n + FOUND)
            forms.append(IOU * tp / (tp + (10 * times.sum(axis=1) - tp) / 2))
        return np.mean(forms, axis=0)

    low, high = np.quantile(means(MULTI) - means(SINGLE), (0.025, 0.975))
    assert (duel.pair.low, duel.pair.high) == pytest.approx((low, high), abs=2e-3)


def test_networks_of_other_seeds_are_not_compared(tmp_path: Path) -> None:
    put_seeds(tmp_path, "single-nuclei", SINGLE)
    put_seeds(tmp_path, "multi", (6, 7, 8), kind="multi", tasks=["nuclei", "gland"])
    assert single_against_multi(tmp_path) == []


def test_networks_of_other_budgets_are_not_compared(tmp_path: Path) -> None:
    budget = TrainingBudget(recipe="quick", steps=400, windows=1600, patches=0)
    longer = TrainingBudget(recipe="quick", steps=4000, windows=16000, patches=16000)
    put_seeds(tmp_path, "single-nuclei", SINGLE, budget=budget)
    for name, of in (("multi", budget.model_copy(update={"patches": 1600})), ("longer", longer)):
        put_seeds(tmp_path, name, MULTI, kind="multi", tasks=["nuclei", "gland"], budget=of)
    duels = single_against_multi(tmp_path)
    assert [duel.multi.name for duel in duels] == ["multi"]
    assert (
        "Trained with recipe quick, 400 steps, 1,600 windows: single-nuclei\n\n"
        "Trained with recipe quick, 400 steps, 1,600 windows and 1,600 patches: multi\n"
    ) in kinds_markdown(duels)


def test_two_experiments_in_one_folder_are_refused(experiment: Path) -> None:
    longer = {"seed": 1, "file_sha256": "99" * 32, "kind": "multi", "tasks": ["nuclei", "gland"]}
    put(experiment, "multi", 7 + FOUND, model=longer)
    with pytest.raises(DataError, match=r"both multi of seed 1\. Keep each experiment"):
        single_against_multi(experiment)


def test_the_better_one_is_bold_and_both_spreads_are_shown(experiment: Path) -> None:
    row = kinds_markdown(single_against_multi(experiment)).splitlines()[2]
    assert "| Nuclei | PQ |" in row
    values = [f"{pq(n + FOUND):.3f}" for n in (*SINGLE, *MULTI)]
    assert f"({values[0]} to {values[1]})" in row
    assert f"** ({values[2]} to {values[3]})" in row


def test_rows_for_scripts_hold_every_seed(experiment: Path) -> None:
    (row,) = kinds_json(single_against_multi(experiment))
    assert row["seeds"] == (0, 1)
    assert row["multi_values"] == pytest.approx([pq(n + FOUND) for n in MULTI])


def test_the_verb_prints_it_or_says_what_is_missing(experiment: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke(
        app, ["leaderboard", str(experiment), "--single-vs-multi", "--markdown"]
    )
    assert run.exit_code == 0
    assert run.output == kinds_markdown(single_against_multi(experiment))

    alone = tmp_path / "alone"
    put(alone, "lonely", 5 + FOUND)
    missing = CliRunner().invoke(app, ["leaderboard", str(alone), "--single-vs-multi"])
    assert missing.exit_code != 0
