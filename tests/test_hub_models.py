"""Models and results on the Hub: pushed, evaluated from there, offered, compared."""

import json
from pathlib import Path

import pytest
import yaml
from hub_data import home, monuseg_folder
from loopback_hub import STRANGER, LoopbackHub, hub, running_hub
from result_builders import make_result, make_score

from cerberus_bench.hub.client import HubAccessError, HubError, NotOnHubError
from cerberus_bench.hub.eval_results import dataset_place, eval_result_files, model_index
from cerberus_bench.hub.model_release import pull_model
from cerberus_bench.hub.places import HubPlace, parse_place
from cerberus_bench.model_zoo import create, make_card, save_model
from cerberus_bench.schema.errors import DataError
from cerberus_bench.schema.result import ResultRecord, read_result
from cerberus_bench.workflows.evaluate import evaluate
from cerberus_bench.workflows.leaderboard import render_board
from cerberus_bench.workflows.models import find_model
from cerberus_bench.workflows.push import push
from cerberus_bench.workflows.push_model import push_model
from cerberus_bench.workflows.submit import submit

__all__ = ["home", "hub", "monuseg_folder", "running_hub"]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

MODEL, RESULTS, DATA = "org/model", "org/results", "org/monuseg"
ARCHITECTURE = "single-nuclei-tiny"


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = create(ARCHITECTURE)
    card = make_card(model, ARCHITECTURE, name="my|model", trained_on=[], licence="Apache-2.0")
    return save_model(tmp_path_factory.mktemp("model") / "weights.safetensors", model, card)


@pytest.fixture(scope="session")
def results(
    model_file: Path, monuseg_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Results of the model, and of another one, on a harmonised folder."""
    out = tmp_path_factory.mktemp("scored") / "results"
    for model in (str(model_file), f"random:{ARCHITECTURE}"):
        evaluate(model, [str(monuseg_folder)], split="train", out=out)
    return out


@pytest.fixture
def result(results: Path, model_file: Path) -> Path:
    return next(path for path in results.rglob("*.json") if "no-file" not in str(path))


def make_repo(name: str) -> None:
    from huggingface_hub import HfApi

    HfApi().create_repo(name, repo_type="dataset")


# models -----------------------------------------------------------------------------------------


def test_model_goes_up_as_it_is_with_its_scores(
    hub: LoopbackHub, home: Path, model_file: Path, results: Path, result: Path
) -> None:
    from huggingface_hub import ModelCard, parse_eval_result_entries

    done = push_model(str(model_file), MODEL, results=results, tag="v1")
    repo = hub.repo(MODEL, "model")
    assert done.results == ("monuseg train",)
    assert repo.blobs[repo.at("v1").files["model.safetensors"].sha256] == model_file.read_bytes()
    record = read_result(result)
    (path,) = [path for path in repo.at("v1").files if path.startswith(".eval_results/")]
    content = repo.at("v1").files[path].content
    entries = {e.task_id: e for e in parse_eval_result_entries(yaml.safe_load(content))}
    score = record.report.score("nuclei", "pq", convention="exact")
    assert entries["nuclei_pq"].value == score.value
    assert entries["nuclei_pq"].dataset_id == "monuseg"
    assert record.data.fingerprint[:12] in entries["nuclei_pq"].notes
    card = ModelCard(repo.at("v1").files["README.md"].content.decode())
    values = {r.metric_type: r.metric_value for r in card.data.eval_results}
    assert values == {task: entry.value for task, entry in entries.items()}
    assert card.data.license == "apache-2.0"
    assert card.data.datasets is None
    assert "my|model" in card.text
    assert "the weights are random" in card.text
    again = push_model(str(model_file), MODEL, results=results, tag="v1")
    assert again.published.changed == ()
    without = push_model(str(model_file), MODEL, tag="v1")
    assert set(without.published.changed) == {"README.md", path}
    assert repo.tags["v1"] == done.published.commit


def test_model_is_evaluated_from_the_hub(
    hub: LoopbackHub, home: Path, model_file: Path, monuseg_folder: Path
) -> None:
    commit = push_model(str(model_file), MODEL).published.commit
    data = push(str(monuseg_folder), DATA).published.commit
    (found,) = evaluate(f"hf:{MODEL}@{commit}", [f"{DATA}@v1.0.0"], split="train", out=Path("out"))
    (local,) = evaluate(str(model_file), [str(monuseg_folder)], split="train")
    assert found.model == local.model
    assert found.report == local.report
    assert found.data == local.data
    assert (found.provenance["data_repo"], found.provenance["data_revision"]) == (DATA, data)
    assert dataset_place(found) == HubPlace(DATA, data)
    assert "data_repo" not in local.provenance
    push_model(str(model_file), MODEL, results=Path("out"))
    card = hub.repo(MODEL, "model").at("main").files["README.md"].content
    assert yaml.safe_load(card.decode().split("---\n")[1])["datasets"] == [DATA]


def test_model_repositories_that_hold_no_model_or_two(
    hub: LoopbackHub, home: Path, model_file: Path
) -> None:
    with pytest.raises(NotOnHubError, match="org/model"):
        find_model(f"hf:{MODEL}")
    push_model(str(model_file), MODEL)
    repo = hub.repo(MODEL, "model")
    repo.put("other.pt", b"pickle")
    with pytest.raises(DataError, match=r"must hold one model file.*model.safetensors, other.pt"):
        find_model(f"hf:{MODEL}")
    del repo.commits[repo.branches["main"]].files["model.safetensors"]
    repo.put("a.txt", b"new commit")
    with pytest.raises(DataError, match=r"other.pt"):
        find_model(f"hf:{MODEL}")
    with pytest.raises(DataError, match="is no place on the Hub"):
        find_model("hf:model")


def test_only_results_of_this_file_and_only_files_with_a_card(
    hub: LoopbackHub, home: Path, model_file: Path, results: Path, tmp_path: Path
) -> None:
    other = create(ARCHITECTURE)
    path = save_model(tmp_path / "b.pt", other, make_card(other, ARCHITECTURE, name="b"))
    assert push_model(str(path), "org/b", results=results).results == ()
    card = hub.repo("org/b", "model").at("main").files["README.md"].content.decode()
    assert "None were published" in card
    assert "Not known, so its scores" in card
    assert "license" not in card.split("---\n")[1]
    assert pull_model(parse_place("org/b")).read_bytes() == path.read_bytes()
    with pytest.raises(DataError, match=r"holds model.pt, so it is for something else"):
        push_model(str(model_file), "org/b")
    with pytest.raises(DataError, match="no trained weights"):
        push_model("cerberus-resnet34", MODEL)


def test_scores_that_are_shown_are_headlines_and_say_what_they_are() -> None:
    scores = (
        make_score(value=0.25),
        make_score(metric="dice", headline=False),
        make_score(metric="aji", value=None, low=None, high=None),
        make_score(task="gland", metric="object_hausdorff", unit="um", value=12.5, low=None),
    )
    result = make_result(
        *scores,
        contamination={"status": "contaminated", "shared": ["a"], "reason": "seen before"},
    )
    ((path, content),) = eval_result_files([result]).items()
    assert path == ".eval_results/phantom@cdcdcdcd-test-fold0.yaml"
    entries = yaml.safe_load(content)
    assert [entry["dataset"]["task_id"] for entry in entries] == [
        "nuclei_pq",
        "gland_object_hausdorff",
    ]
    assert "synthetic images; contaminated: seen before" in entries[0]["notes"]
    assert "in um" in entries[1]["notes"]
    assert [r.metric_value for r in model_index([result])] == [0.25, 12.5]
    assert eval_result_files([make_result(make_score(headline=False))]) == {}


# results ----------------------------------------------------------------------------------------


def test_result_is_offered_as_a_pull_request(hub: LoopbackHub, home: Path, result: Path) -> None:
    make_repo(RESULTS)
    repo = hub.repo(RESULTS)
    done = submit(result, RESULTS)
    record = read_result(result)
    place = f"results/{record.relative_path().as_posix()}"
    assert done.url == f"{hub.endpoint}/datasets/{RESULTS}/discussions/1"
    assert set(done.files) == {place, place.replace(".json", ".counts.parquet")}
    assert set(repo.at("main").files) == {".gitattributes"}
    offered = repo.at("refs/pr/1")
    assert offered.files[place].content == result.read_bytes()
    assert offered.title == "Result of my|model on monuseg, train"
    repo.branches["main"] = offered.oid
    again = submit(result, RESULTS)
    assert (again.url, again.files) == (None, ())


def test_who_may_only_read_may_offer(
    hub: LoopbackHub, home: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_repo(RESULTS)
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    done = submit(results, RESULTS)
    assert len(done.files) == 4
    assert hub.repo(RESULTS).at("refs/pr/1").author == "stranger"
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubAccessError):
        submit(results, RESULTS)


def test_what_is_no_honest_result_is_not_offered(
    hub: LoopbackHub, home: Path, result: Path, tmp_path: Path
) -> None:
    make_repo(RESULTS)
    raw = json.loads(result.read_text())
    raw["report"]["scores"][0]["value"] = 7.0
    bent = tmp_path / "bent.json"
    bent.write_text(json.dumps(raw))
    with pytest.raises(DataError, match=r"bent.json"):
        submit(bent, RESULTS)
    alone = tmp_path / "alone.json"
    alone.write_bytes(result.read_bytes())
    with pytest.raises(DataError, match=r"alone.counts.parquet is missing"):
        submit(alone, RESULTS)
    with pytest.raises(DataError, match="give the path of a result file"):
        submit(tmp_path / "none.json", RESULTS)
    with pytest.raises(DataError, match="leave out the revision"):
        submit(result, f"{RESULTS}@v1")
    with pytest.raises(NotOnHubError, match="org/none"):
        submit(result, "org/none")
    assert hub.repo(RESULTS).pulls == {}


def test_board_reads_a_repository_of_results(
    hub: LoopbackHub, home: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    make_repo(RESULTS)
    repo = hub.repo(RESULTS)
    with pytest.raises(DataError, match="has no folder results/"):
        render_board(Path(f"hf:{RESULTS}"), "json")
    submit(results, RESULTS)
    repo.branches["main"] = repo.pulls["refs/pr/1"]
    repo.tags["v1"] = repo.branches["main"]
    repo.put("package.json", b"not a result")
    expected = json.loads(render_board(results, "json"))
    assert json.loads(render_board(Path(f"hf:{RESULTS}"), "json")) == expected
    assert json.loads(render_board(Path(f"hf:{RESULTS}@v1"), "json")) == expected
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert json.loads(render_board(Path(f"hf:{RESULTS}@v1"), "json")) == expected
    with pytest.raises(HubError):
        render_board(Path("hf:org/elsewhere"), "json")


def test_results_know_published_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from cerberus_bench.loaders import registry

    class Published:
        spec = replace(registry.get("glas").spec, hub=("org/glas", "c" * 40))

    monkeypatch.setattr(registry, "get", lambda name: Published)

    def place(**data: object) -> HubPlace:
        made: ResultRecord = make_result(make_score(), data=data)
        return dataset_place(made)

    assert place(name="glas", version="1.0.0") == HubPlace("org/glas", "c" * 40)
    assert place(name="glas", version="0.9.0") == HubPlace("glas")
    assert place(name="phantom@blur", version="1.0.0") == HubPlace("phantom@blur")
