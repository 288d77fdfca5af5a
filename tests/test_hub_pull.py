"""Pulling: by tag and by commit, streamed, offline, gated, tampered with."""

import json
from pathlib import Path

import pytest
from hub_data import glas_folder, glas_source, home, monuseg_folder
from loopback_hub import OWNER, STRANGER, LoopbackHub, hub, running_hub
from loopback_store import Repo

import cerberus_bench as cb
from cerberus_bench.hub import HubPlace, looks_like_place, parse_place, place_of
from cerberus_bench.hub.checksums import TamperedError
from cerberus_bench.hub.client import HubAccessError, HubError, NotOnHubError
from cerberus_bench.loaders import registry
from cerberus_bench.loaders.table import open_table
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.data import find_data, open_data
from cerberus_bench.workflows.pull import hub_place
from cerberus_bench.workflows.push import push

__all__ = ["glas_folder", "glas_source", "home", "hub", "monuseg_folder", "running_hub"]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "org/monuseg"


@pytest.fixture
def published(hub: LoopbackHub, home: Path, monuseg_folder: Path) -> str:
    """Commit of a dataset on the Hub."""
    return push(str(monuseg_folder), REPO).published.commit


def read_parquet(hub: LoopbackHub, path: str) -> bytes:
    repo = hub.repo(REPO)
    digest = repo.at("main").files[path].sha256
    assert digest is not None
    return repo.blobs[digest]


# places -----------------------------------------------------------------------------------------


def test_places_and_folders_are_told_apart(home: Path) -> None:
    assert parse_place("hf:org/a.b-c@v1.0") == HubPlace("org/a.b-c", "v1.0")
    assert parse_place("org/name@refs/pr/1").revision == "refs/pr/1"
    assert str(parse_place("hf:org/name")) == "org/name"
    for wrong in ("name", "org/name/more", "org/name@", "../name", "org/..", "hf:", "org/a b"):
        with pytest.raises(DataError, match="is no place on the Hub"):
            parse_place(wrong)
    assert looks_like_place("org/lizard@v1.0.0")
    Path("org").mkdir()
    assert not looks_like_place("org/lizard")
    assert looks_like_place("hf:org/lizard")
    assert not looks_like_place("/tmp/lizard")
    cached = Path("hub/datasets--org--a-b/snapshots") / ("0" * 40)
    assert place_of(cached) == HubPlace("org/a-b", "0" * 40)
    assert place_of(Path("data/lizard")) is None


def test_names_resolve_to_a_pinned_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_place("phantom") is None
    assert hub_place("phantom@blur") is None
    assert hub_place("glas") is None
    with pytest.raises(DataError, match=r"glas is not published .*harmonize glas --source"):
        hub_place("glas@v1.0.0")
    with pytest.raises(DataError, match="two revisions"):
        hub_place("org/x@v1", "v2")
    spec = registry.get("glas").spec
    monkeypatch.setattr("cerberus_bench.workflows.pull.known_spec", lambda name: published_as(spec))
    assert hub_place("glas") == HubPlace("org/glas", "c" * 40)
    assert hub_place("glas@v2") == HubPlace("org/glas", "v2")


def published_as(spec: object) -> object:
    from dataclasses import replace

    return replace(spec, hub=("org/glas", "c" * 40))  # type: ignore[type-var]


# rows -------------------------------------------------------------------------------------------


def test_a_dataset_is_pulled_by_tag_and_by_commit(
    hub: LoopbackHub, published: str, monuseg_folder: Path
) -> None:
    local = cb.load(str(monuseg_folder), split="train")
    for revision in ("v1.0.0", published, published[:8], None):
        rows = cb.load(REPO, split="train", revision=revision)
        assert rows["sample_id"] == local["sample_id"]
        assert rows.features == local.features
        assert rows[0]["image"].tobytes() == local[0]["image"].tobytes()
    table = open_data(f"{REPO}@v1.0.0", split="all")
    assert table.fingerprint == open_table(monuseg_folder, split="all").fingerprint
    assert place_of(table.folder) == HubPlace(REPO, published)
    assert find_data(f"hf:{REPO}") == str(table.folder)


def test_plain_datasets_opens_it_by_its_card(published: str, monuseg_folder: Path) -> None:
    import datasets

    rows = datasets.load_dataset(REPO, revision="v1.0.0")
    assert set(rows) == {path.stem for path in (monuseg_folder / "data").iterdir()}
    assert rows["train"][0]["nuclei"].mode == "I;16"


def test_an_older_state_stays_reachable(hub: LoopbackHub, published: str) -> None:
    hub.repo(REPO).put("data/train.parquet", b"spoiled")
    assert len(cb.load(REPO, split="train", revision="v1.0.0"))
    with pytest.raises(TamperedError):
        cb.load(REPO, split="train")


def test_what_was_pulled_opens_offline(
    hub: LoopbackHub, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    first = cb.load(REPO, split="train", revision="v1.0.0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    for revision in ("v1.0.0", published):
        rows = cb.load(REPO, split="train", revision=revision)
        assert rows["sample_id"] == first["sample_id"]
    assert hub.requests == []
    with pytest.raises(HubError, match=r"not on this disk as v9, .*Pull it once with a network"):
        cb.load(REPO, split="train", revision="v9")


def test_streaming_gives_the_same_rows(
    hub: LoopbackHub, published: str, monuseg_folder: Path
) -> None:
    local = cb.load(str(monuseg_folder), split="train")
    hub.requests.clear()
    rows = list(cb.load(REPO, split="train", revision="v1.0.0", streaming=True))
    assert [row["sample_id"] for row in rows] == local["sample_id"]
    assert rows[0]["image"].tobytes() == local[0]["image"].tobytes()
    parts = {row["official_split"] for row in rows}
    part = sorted(parts)[0]
    official = list(cb.load(REPO, split=f"official:{part}", streaming=True))
    assert {row["official_split"] for row in official} == {part}
    with pytest.raises(DataError, match="present are"):
        cb.load(REPO, split="official:none", streaming=True)
    with pytest.raises(DataError, match="leave out streaming"):
        cb.load(REPO, split="train", fold=1, streaming=True)
    again = cb.load(str(monuseg_folder), split="train", streaming=True)
    assert [row["sample_id"] for row in again] == local["sample_id"]


@pytest.fixture
def in_git(hub: LoopbackHub, home: Path, monuseg_folder: Path) -> Repo:
    """The dataset on a Hub that keeps small files in git, whatever they are called."""
    repo = hub.repos["dataset", REPO] = Repo("dataset", REPO, lfs_suffixes=())
    push(str(monuseg_folder), REPO)
    assert repo.blobs == {}
    return repo


def test_files_that_the_hub_keeps_in_git_are_streamed(
    hub: LoopbackHub, in_git: Repo, monuseg_folder: Path
) -> None:
    local = cb.load(str(monuseg_folder), split="train")
    hub.requests.clear()
    rows = list(cb.load(REPO, split="train", streaming=True))
    assert [row["sample_id"] for row in rows] == local["sample_id"]
    assert rows[0]["image"].tobytes() == local[0]["image"].tobytes()
    assert hub.count("GET", "train.parquet") == 1
    assert hub.count("GET", "(validation|test).parquet") == 0
    part = str(rows[0]["official_split"])
    assert list(cb.load(REPO, split=f"official:{part}", streaming=True))


def test_files_in_git_and_in_large_file_storage_are_streamed_together(
    hub: LoopbackHub, in_git: Repo, monuseg_folder: Path
) -> None:
    local = cb.load(str(monuseg_folder), split="all")
    in_git.lfs_suffixes = ("train.parquet",)
    in_git.put("data/train.parquet", (monuseg_folder / "data/train.parquet").read_bytes())
    assert len(in_git.blobs) == 1
    rows = list(cb.load(REPO, split="all", streaming=True))
    assert [row["sample_id"] for row in rows] == local["sample_id"]


def test_a_tampered_file_in_git_is_refused(hub: LoopbackHub, in_git: Repo) -> None:
    content = in_git.at("main").files["data/train.parquet"].content
    assert content is not None
    in_git.put("data/train.parquet", content[:-1] + bytes([content[-1] ^ 1]))
    for streaming in (False, True):
        with pytest.raises(TamperedError, match=r"data/train.parquet has sha256 .* published was"):
            cb.load(REPO, split="train", streaming=streaming)


def test_a_missing_file_is_refused(hub: LoopbackHub, in_git: Repo) -> None:
    in_git.remove("data/train.parquet")
    for streaming in (False, True):
        with pytest.raises(TamperedError, match=r"data/train.parquet is missing, which SHA256SUMS"):
            cb.load(REPO, split="train", streaming=streaming)


def test_a_gate_lets_in_only_who_was_let_in(
    hub: LoopbackHub, published: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    hub.repo(REPO).gated = "manual"
    for token in (STRANGER, None):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        else:
            monkeypatch.delenv("HF_TOKEN")
        for streaming in (False, True):
            with pytest.raises(HubAccessError, match=r"is gated. Ask for access at") as refused:
                cb.load(REPO, split="train", streaming=streaming)
            assert STRANGER not in str(refused.value)
    hub.repo(REPO).readers.add("stranger")
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    assert len(cb.load(REPO, split="train"))
    said = capfd.readouterr()
    assert not any(token in said.out + said.err for token in (OWNER, STRANGER))


def test_tokens_are_written_nowhere(
    hub: LoopbackHub, published: str, home: Path, monuseg_folder: Path
) -> None:
    from loopback_hub import HF_HOME

    cb.load(REPO, split="train")
    places = (Path(HF_HOME), home, Path.cwd(), monuseg_folder)
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if OWNER.encode() in path.read_bytes()]


# what is refused ----------------------------------------------------------------------------------


def test_a_tampered_file_is_refused(hub: LoopbackHub, published: str) -> None:
    from hub_data import change_first_image

    path = Path("changed.parquet")
    path.write_bytes(read_parquet(hub, "data/train.parquet"))
    change_first_image(path)
    hub.repo(REPO).put("data/train.parquet", path.read_bytes())
    for streaming in (False, True):
        with pytest.raises(TamperedError, match=r"data/train.parquet has sha256 .* published was"):
            cb.load(REPO, split="train", streaming=streaming)
    hub.repo(REPO).put("SHA256SUMS", b"")
    with pytest.raises(TamperedError, match="does not list data"):
        cb.load(REPO, split="train")
    hub.repo(REPO).put("SHA256SUMS", b"no sums\n")
    with pytest.raises(DataError, match="is no line of sha256 and path"):
        cb.load(REPO, split="train")


def test_bytes_that_are_not_those_of_the_commit_are_refused(
    hub: LoopbackHub, published: str
) -> None:
    repo = hub.repo(REPO)
    digest = repo.at("main").files["data/train.parquet"].sha256
    assert digest is not None
    blob = repo.blobs[digest]
    repo.blobs[digest] = blob[:-1] + bytes([blob[-1] ^ 1])
    with pytest.raises(TamperedError, match=r"data/train.parquet has sha256"):
        cb.load(REPO, split="train")


def test_changed_facts_are_refused(hub: LoopbackHub, published: str) -> None:
    content = hub.repo(REPO).at("main").files["dataset.json"].content
    assert content is not None
    facts = json.loads(content) | {"fixed_roles": True}
    hub.repo(REPO).put("dataset.json", json.dumps(facts).encode())
    for streaming in (False, True):
        with pytest.raises(TamperedError, match=r"dataset.json has sha256"):
            cb.load(REPO, split="train", streaming=streaming)


def test_a_card_that_contradicts_the_sums_is_refused(hub: LoopbackHub, published: str) -> None:
    repo = hub.repo(REPO)
    content = repo.at("main").files["README.md"].content
    right = repo.at("main").files["data/train.parquet"].sha256
    assert content is not None
    assert right is not None
    wrong = "0" * 64
    repo.put("README.md", content.replace(right.encode(), wrong.encode()))
    said = rf"README.md says that data/train.parquet has sha256 {wrong}, SHA256SUMS says {right}"
    for streaming in (False, True):
        with pytest.raises(TamperedError, match=said):
            cb.load(REPO, split="train", streaming=streaming)
    assert len(cb.load(REPO, split="train", revision="v1.0.0"))


def test_a_card_may_say_less_than_the_sums(hub: LoopbackHub, published: str) -> None:
    other = b"| another/file | `" + b"0" * 64 + b"` |\n"
    for card in (b"No hashes here.\n", b"# Files\n\n" + other):
        hub.repo(REPO).put("README.md", card)
        assert len(cb.load(REPO, split="train"))


def test_what_is_not_there_is_said(hub: LoopbackHub, published: str) -> None:
    with pytest.raises(NotOnHubError, match=r"org/none on http.* does not exist, or is private"):
        cb.load("org/none")
    with pytest.raises(DataError, match="has no revision 'v9'"):
        cb.load(REPO, revision="v9")
    with pytest.raises(DataError, match="so it has no revision 'v1'"):
        cb.load("phantom", revision="v1")
    with pytest.raises(DataError, match="no dataset 'gals'"):
        cb.load("gals")
    hub.repo(REPO).put("x.txt", b"x")
    from huggingface_hub import HfApi

    HfApi().create_repo("org/plain", repo_type="dataset")
    with pytest.raises(DataError, match=r"holds neither dataset.json nor recipe.json"):
        cb.load("org/plain")


def test_a_recipe_is_not_loaded(hub: LoopbackHub, home: Path, glas_folder: Path) -> None:
    push(str(glas_folder), "org/glas")
    with pytest.raises(DataError, match=r"recipe of glas and no pixels.*--recipe org/glas@\w+"):
        cb.load("org/glas")
    with pytest.raises(DataError, match="holds a recipe and no rows"):
        cb.load("org/glas", streaming=True)
