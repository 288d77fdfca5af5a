"""The verbs of the Hub, as a user types them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hub_data import glas_folder, glas_source, home, monuseg_folder
from loopback_hub import LoopbackHub, hub, running_hub
from slide_objects import facts
from typer.testing import CliRunner

from cerberus_bench.cli.app import app
from cerberus_bench.schema.errors import CerberusBenchError
from cerberus_bench.slides.geoparquet import write_objects
from cerberus_bench.slides.summary import summarise, write_summary

__all__ = ["glas_folder", "glas_source", "home", "hub", "monuseg_folder", "running_hub"]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def run(*arguments: object) -> str:
    """Output of a verb that must succeed."""
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: object) -> CerberusBenchError:
    """The error of a verb that must not succeed."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert isinstance(done.exception, CerberusBenchError), done.output
    return done.exception


def test_pixels_from_push_to_scores(hub: LoopbackHub, home: Path, monuseg_folder: Path) -> None:
    pushed = json.loads(run("push", monuseg_folder, "--repo", "org/monuseg", "--json"))
    assert pushed["form"] == "pixels"
    assert pushed["pin"] == ["org/monuseg", pushed["published"]["commit"]]
    told = run("push", monuseg_folder, "--repo", "org/monuseg")
    assert "nothing changed, no commit" in told
    assert re.search(r"not complete: \d+ train images", told)
    assert "cerberus-bench eval MODEL --data org/monuseg@v1.0.0" in told
    (pulled,) = json.loads(run("download", "org/monuseg@v1.0.0", "--json"))
    assert (pulled["name"], pulled["state"]) == ("monuseg", "pulled")
    assert pulled["place"] == f"org/monuseg@{pushed['published']['commit']}"
    data = pulled["next"].removeprefix("cerberus-bench eval MODEL --data ")
    for place in (data, "org/monuseg@v1.0.0", "hf:org/monuseg"):
        scored = run(
            *("eval", "random:single-nuclei-tiny", "--data", place, "--split", "train"),
            *("--out", "results", "--json"),
        )
        (one,) = json.loads(scored)
        assert one["result"]["provenance"]["data_repo"] == "org/monuseg"


def test_download_to_a_folder_of_ones_own(
    hub: LoopbackHub, home: Path, monuseg_folder: Path
) -> None:
    run("push", monuseg_folder, "--repo", "org/monuseg")
    told = run("download", "hf:org/monuseg", "--to", "data")
    assert "monuseg: pulled" in told
    assert "cerberus-bench eval MODEL --data data/monuseg" in told
    for path in (monuseg_folder / "data").iterdir():
        copied = Path("data/monuseg/data", path.name)
        assert copied.read_bytes() == path.read_bytes()
        assert not copied.is_symlink()
    run("push", "monuseg", "--repo", "org/monuseg")


def test_a_name_that_points_elsewhere_is_refused(
    hub: LoopbackHub, home: Path, monuseg_folder: Path
) -> None:
    from hashlib import sha256

    run("push", monuseg_folder, "--repo", "org/monuseg")
    repo = hub.repo("org/monuseg")
    files = repo.at("main").files
    facts = json.loads(files["dataset.json"].content) | {"name": "../outside"}
    changed = json.dumps(facts).encode()
    sums = files["SHA256SUMS"].content.decode().splitlines()
    kept = [line for line in sums if not line.endswith("dataset.json")]
    repo.put("dataset.json", changed)
    line = f"{sha256(changed).hexdigest()}  dataset.json"
    repo.put("SHA256SUMS", "\n".join([*kept, line]).encode())
    repo.put("README.md", b"A card that names no hashes.\n")
    told = refused("download", "org/monuseg", "--to", "data")
    assert "calls itself '../outside', which is no name" in str(told)
    assert not Path("outside").exists()


def test_recipe_from_push_to_proof(
    hub: LoopbackHub, home: Path, glas_folder: Path, glas_source: Path
) -> None:
    assert refused("push", glas_folder, "--repo", "org/glas", "--pixels").exit_code == 2
    told = run("push", glas_folder, "--repo", "org/glas")
    assert "glas: recipe of 7 records" in told
    assert "cerberus-bench download org/glas@v1.0.0" in told
    (pulled,) = json.loads(run("download", "org/glas@v1.0.0", "--json"))
    assert pulled["state"] == "recipe"
    verb, name, _, _, _, place = pulled["next"].split()[1:]
    assert (verb, name) == ("harmonize", "glas")
    told = run(verb, name, "--source", glas_source, "--recipe", place, "--allow-partial")
    assert f"records equal to the recipe {place}: 7" in told
    assert "no pixels" in str(refused("eval", "random:single-gland-tiny", "--data", "org/glas"))


def test_unpublished_sets_say_so(hub: LoopbackHub, home: Path) -> None:
    done = CliRunner().invoke(app, ["download", "glas"])
    assert done.exit_code == 2
    assert "not published on the Hub; from its source" in done.stdout
    assert "cerberus-bench harmonize glas --source" in done.stdout
    assert "is not published on the Hub" in str(refused("download", "glas@v1.0.0"))
    assert hub.requests == []


def test_published_sets_are_pulled_by_name_once_their_licence_is_accepted(
    hub: LoopbackHub, home: Path, monuseg_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    import cerberus_bench as cb
    from cerberus_bench.loaders import registry

    pushed = json.loads(run("push", monuseg_folder, "--repo", "org/monuseg", "--json"))
    spec = replace(registry.get("monuseg").spec, hub=tuple(pushed["pin"]))
    known = "cerberus_bench.workflows.pull.known_spec"
    monkeypatch.setattr(known, lambda name: spec if name == "monuseg" else None)
    hub.requests.clear()
    with pytest.raises(CerberusBenchError, match="`cerberus-bench download monuseg`"):
        cb.load("monuseg", split="train")
    assert "nothing was downloaded" in str(refused("download", "monuseg"))
    assert hub.requests == []
    told = run("download", "monuseg", "--accept-license")
    assert f"on the Hub: org/monuseg@{pushed['pin'][1]}" in told
    hub.requests.clear()
    assert len(cb.load("monuseg", split="train"))
    assert hub.requests == []
    assert next(iter(cb.load("monuseg@v1.0.0", split="train", streaming=True)))
    assert hub.count("GET", f"/resolve/{pushed['pin'][1]}/data") > 0


def test_models_and_results(hub: LoopbackHub, home: Path, monuseg_folder: Path) -> None:
    run("push-model", "cerberus-tiny", "--repo", "org/tiny", "--tag", "v1")
    (scored,) = json.loads(
        run(
            *("eval", "hf:org/tiny@v1", "--data", monuseg_folder, "--split", "train"),
            *("--out", "results", "--json"),
        )
    )
    told = run("push-model", "cerberus-tiny", "--repo", "org/tiny", "--results", "results")
    assert "cerberus-tiny, 1 results ->" in told
    run("push", monuseg_folder, "--repo", "org/results")  # any dataset repository takes offers
    offered = json.loads(run("submit", scored["result_path"], "--repo", "org/results", "--json"))
    assert offered["url"].endswith("/discussions/1")
    repo = hub.repo("org/results")
    repo.branches["main"] = repo.pulls["refs/pr/1"]
    told = run("submit", scored["result_path"], "--repo", "org/results")
    assert "nothing was offered" in told
    assert "cerberus-tiny" in run("leaderboard", "hf:org/results", "--markdown")


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """A folder of predictions with one slide, on which nothing was found."""
    slide = tmp_path / "predictions" / "a"
    slide.mkdir(parents=True)
    write_objects([], slide / "objects.parquet", slide=facts())
    write_summary(
        summarise(slide / "objects.parquet", mask=np.ones((2, 2), bool)), slide / "summary.json"
    )
    return slide.parent


def test_a_cohort_is_pushed_once_it_has_a_licence(hub: LoopbackHub, slides: Path) -> None:
    arguments = ("push", slides / "cohort", "--repo", "org/slides")
    run("cohort", slides)
    assert "cohort --license ID" in str(refused(*arguments))
    run("cohort", slides, "--license", "cc-by-4.0")
    pushed = json.loads(run(*arguments, "--tag", "v1", "--json"))
    repo = hub.repo("org/slides")
    assert repo.tags == {"v1": pushed["commit"]}
    files = {n: f.content for n, f in repo.at("main").files.items() if n != ".gitattributes"}
    assert set(files) == {"cohort.parquet", "cohort.csv", "README.md", "SHA256SUMS"}
    assert files["cohort.csv"] == (slides / "cohort" / "cohort.csv").read_bytes()
    assert "nothing changed" in run(*arguments)
    wrong = CliRunner().invoke(app, [*map(str, arguments), "--recipe"])
    assert wrong.exit_code == 2
