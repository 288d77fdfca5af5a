"""Publishing: what is committed, when nothing is, and what is refused."""

import shutil
from pathlib import Path

import pytest
import yaml
from hub_data import change_first_image, glas_folder, glas_source, home, monuseg_folder
from loopback_hub import STRANGER, Fault, LoopbackHub, hub, running_hub
from loopback_store import Repo

from cerberus_bench.hub.client import HubAccessError, HubError
from cerberus_bench.hub.dataset_release import Form, LicenceError
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.push import push

__all__ = ["glas_folder", "glas_source", "home", "hub", "monuseg_folder", "running_hub"]

REPO = "org/monuseg"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

COMMIT = r"/api/datasets/.*/commit/"
PIXEL_FILES = {
    ".gitattributes",
    "README.md",
    "SHA256SUMS",
    "dataset.json",
    "preview.jpg",
}


def titles(repo: Repo) -> list[str]:
    return [commit.title for commit in repo.commits.values()]


def test_one_commit_a_tag_and_nothing_when_nothing_changed(
    hub: LoopbackHub, monuseg_folder: Path
) -> None:
    first = push(str(monuseg_folder), REPO)
    repo = hub.repo(REPO)
    assert first.form is Form.PIXELS
    assert first.pin == (REPO, repo.branches["main"])
    assert repo.tags == {"v1.0.0": first.published.commit}
    rows = {f"data/{path.name}" for path in (monuseg_folder / "data").iterdir()}
    assert set(repo.at("main").files) == PIXEL_FILES | rows
    assert titles(repo) == ["initial commit", "monuseg 1.0.0"]
    again = push(str(monuseg_folder), REPO)
    assert again.published.changed == ()
    assert again.pin == first.pin
    assert titles(repo) == ["initial commit", "monuseg 1.0.0"]
    assert hub.count("POST", COMMIT) == 1


def test_card_says_what_the_hub_and_readers_need(hub: LoopbackHub, monuseg_folder: Path) -> None:
    push(str(monuseg_folder), REPO, gated="manual", private=True)
    repo = hub.repo(REPO)
    assert repo.gated == "manual"
    assert repo.private
    card = repo.at("main").files["README.md"].content
    assert card is not None
    _, front, body = card.decode().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["license"] == "cc-by-nc-sa-4.0"
    assert facts["task_categories"] == ["image-segmentation"]
    assert facts["source_datasets"] == ["extended|other-monuseg"]
    assert "accept" in facts["extra_gated_prompt"]
    columns = {column["name"] for column in facts["dataset_info"]["features"]}
    assert {"image", "nuclei", "content_sha256", "preview"} <= columns
    assert f'cb.load("{REPO}", revision="v1.0.0"' in body
    digest = repo.at("main").files["data/train.parquet"].sha256
    assert f"| data/train.parquet | `{digest}` |" in body
    assert "images of the official part train are missing" in body


def test_a_stale_parent_is_refused_and_tried_anew(hub: LoopbackHub, monuseg_folder: Path) -> None:
    hub.before_commit = lambda repo: repo.put("NOTES.md", b"by another")
    pushed = push(str(monuseg_folder), REPO)
    repo = hub.repo(REPO)
    assert hub.count("POST", COMMIT) == 2
    assert titles(repo) == ["initial commit", "NOTES.md", "monuseg 1.0.0"]
    assert repo.at("main").files["NOTES.md"].content == b"by another"
    assert repo.at("main").oid == pushed.published.commit


def test_parents_that_stay_stale_end_in_an_error(hub: LoopbackHub, monuseg_folder: Path) -> None:
    def meddle(repo: Repo) -> None:
        repo.put("NOTES.md", str(len(repo.commits)).encode())
        hub.before_commit = meddle

    hub.before_commit = meddle
    with pytest.raises(HubError, match="others committed in between 3 times"):
        push(str(monuseg_folder), REPO)
    assert hub.count("POST", COMMIT) == 3


def test_an_interrupted_push_resumes(hub: LoopbackHub, monuseg_folder: Path) -> None:
    hub.faults.append(Fault("PUT", "^/blobs/", 403, skip=1))
    with pytest.raises(HubAccessError, match="answered 403"):
        push(str(monuseg_folder), REPO)
    repo = hub.repo(REPO)
    kept = set(repo.blobs)
    assert len(kept) == 1
    assert titles(repo) == ["initial commit"]
    hub.faults.clear()
    hub.requests.clear()
    push(str(monuseg_folder), REPO)
    sent = [r.path.rpartition("/")[2] for r in hub.requests if r.method == "PUT"]
    assert kept.isdisjoint(sent)
    assert kept | set(sent) == set(repo.blobs)
    assert titles(repo) == ["initial commit", "monuseg 1.0.0"]


def test_a_tag_never_moves(hub: LoopbackHub, monuseg_folder: Path) -> None:
    push(str(monuseg_folder), REPO)
    repo = hub.repo(REPO)
    tagged = repo.tags["v1.0.0"]
    repo.put("README.md", b"---\nlicense: mit\n---\nspoiled\n")
    mended = push(str(monuseg_folder), REPO)
    assert mended.published.changed == ("README.md",)
    assert repo.tags["v1.0.0"] == tagged
    repo.put("data/train.parquet", b"other rows")
    repo.tags["v1.0.0"] = repo.branches["main"]
    with pytest.raises(DataError, match=r"v1.0.0 of .* holds other files \(data/train.parquet\)"):
        push(str(monuseg_folder), REPO)
    push(str(monuseg_folder), REPO, tag="v1.0.1")
    assert set(repo.tags) == {"v1.0.0", "v1.0.1"}


def test_rows_that_are_gone_go_and_other_files_stay(hub: LoopbackHub, monuseg_folder: Path) -> None:
    push(str(monuseg_folder), REPO)
    repo = hub.repo(REPO)
    repo.put("data/old.parquet", b"old rows")
    repo.put("LICENSE", b"text")
    pushed = push(str(monuseg_folder), REPO)
    assert pushed.published.changed == ("data/old.parquet",)
    assert "LICENSE" in repo.at("main").files
    assert "data/old.parquet" not in repo.at("main").files


def test_bytes_that_arrive_wrong_are_found(
    hub: LoopbackHub, monuseg_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Repo.commit

    def careless(self: Repo, revision: str, lines: list, user: str, **how: bool) -> object:
        kept = [line for line in lines if line["value"].get("path") != "dataset.json"]
        return honest(self, revision, kept, user, **how)

    monkeypatch.setattr(Repo, "commit", careless)
    with pytest.raises(HubError, match=r"holds other bytes than were sent: dataset.json"):
        push(str(monuseg_folder), REPO)
    assert hub.repo(REPO).tags == {}


def test_glas_has_a_recipe_and_no_pixels(hub: LoopbackHub, glas_folder: Path) -> None:
    with pytest.raises(LicenceError, match=r"pixels of glas cannot be published: .*research"):
        push(str(glas_folder), "org/glas", form=Form.PIXELS, gated="manual")
    assert hub.repos == {}
    pushed = push(str(glas_folder), "org/glas")
    assert pushed.form is Form.RECIPE
    files = hub.repo("org/glas").at("main").files
    expected = {".gitattributes", "README.md", "SHA256SUMS", "recipe.json", "records.jsonl"}
    assert set(files) == expected
    assert hub.repo("org/glas").blobs == {}
    card = files["README.md"].content
    assert card is not None
    assert b"holds no image" in card
    assert b"harmonize glas --source PATH --recipe org/glas@v1.0.0" in card
    assert push(str(glas_folder), "org/glas").published.changed == ()


def test_one_repository_one_source(
    hub: LoopbackHub, monuseg_folder: Path, glas_folder: Path
) -> None:
    push(str(monuseg_folder), REPO)
    with pytest.raises(DataError, match=r"holds monuseg; one repository holds one source"):
        push(str(glas_folder), REPO)
    with pytest.raises(DataError, match=r"holds dataset.json, so it is for something else"):
        push(str(monuseg_folder), REPO, form=Form.RECIPE)


def test_who_may_not_write_is_told(
    hub: LoopbackHub, monuseg_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    with pytest.raises(HubAccessError, match=r"answered 403 .*set HF_TOKEN") as refused:
        push(str(monuseg_folder), REPO)
    assert STRANGER not in str(refused.value)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubAccessError, match="answered 401"):
        push(str(monuseg_folder), REPO)


def test_a_folder_that_was_changed_is_not_published(
    hub: LoopbackHub, monuseg_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "monuseg"
    shutil.copytree(monuseg_folder, folder)
    change_first_image(next((folder / "data").iterdir()))
    with pytest.raises(DataError, match=r"arrays of its records are not those of dataset.json"):
        push(str(folder), REPO)
    assert hub.repos == {}


def test_names_without_a_folder(hub: LoopbackHub, home: Path) -> None:
    with pytest.raises(DataError, match=r"glas is not in data/glas.*harmonize glas --source"):
        push("glas", "org/glas")
    with pytest.raises(DataError, match="nowhere/glas is not a harmonised dataset"):
        push("nowhere/glas", "org/glas")


def test_the_phantom_is_made_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cerberus_bench.loaders import build
    from cerberus_bench.workflows.push import _folder

    made: list[Path] = []

    def make(reader: object, source: object, out: Path, **how: object) -> None:
        out.mkdir(parents=True)
        (out / "dataset.json").touch()
        made.append(out)

    monkeypatch.setattr(build, "harmonise_source", make)
    first = _folder("phantom", None)
    assert first.name == "all"
    assert home in first.parents
    assert _folder("phantom", None) == first
    assert made == [first]
