"""The results that the repository keeps: whole, of no machine, and as README shows them."""

import re
from pathlib import Path

import pytest

from cerberus_bench.eval.invariants import check_image_counts
from cerberus_bench.leaderboard import (
    kinds_markdown,
    leaderboard,
    single_against_multi,
    to_markdown,
)
from cerberus_bench.leaderboard.counts import counts_path, read_counts
from cerberus_bench.leaderboard.store import read_results

ROOT = Path(__file__).parents[1]


def test_the_board_in_the_readme_is_that_of_the_kept_results() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition("<!-- board -->\n")
    shown, end, _ = rest.partition("<!-- /board -->")
    assert end
    assert shown == to_markdown(leaderboard(ROOT / "docs/results")), (
        "write it again: cerberus-bench leaderboard docs/results --markdown"
    )


KEPT = [
    "results",
    *(f"experiments/{name}" for name in ("stl-vs-mtl", "stl-vs-mtl-real")),
    *(f"experiments/transfer/{task}" for task in ("signet_ring", "nuclei")),
]


@pytest.mark.parametrize("kept", [f"docs/{name}" for name in KEPT])
def test_kept_results_are_complete_and_name_no_machine(kept: str) -> None:
    for stored in read_results(ROOT / kept):
        record = stored.record
        assert stored.path == ROOT / kept / record.relative_path()
        counts = counts_path(stored.path)
        check_image_counts(record.report, read_counts(counts), str(counts))
        assert re.fullmatch("[0-9a-f]{40}", record.provenance["commit"])
        command = record.provenance["command"].split()
        assert not [word for word in command if word.startswith(("/", "~"))]


@pytest.mark.parametrize("name", ["stl-vs-mtl", "stl-vs-mtl-real"])
def test_the_experiment_in_the_readme_is_that_of_the_kept_results(name: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition(f"<!-- {name} -->\n")
    shown, end, _ = rest.partition(f"<!-- /{name} -->")
    assert end
    kept = f"docs/experiments/{name}"
    assert shown == kinds_markdown(single_against_multi(ROOT / kept)), (
        f"write it again: cerberus-bench leaderboard {kept} --single-vs-multi --markdown"
    )
