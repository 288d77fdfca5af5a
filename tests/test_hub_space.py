"""A board as a static Space: what it holds, when nothing is sent, and what is refused."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from loopback_hub import STRANGER, LoopbackHub, hub, running_hub
from loopback_store import Repo
from test_hub_cli import refused, run

from cerberus_bench.hub.board_release import TAG, board_release
from cerberus_bench.hub.client import HubAccessError
from cerberus_bench.hub.publish import Target
from cerberus_bench.leaderboard import Board, leaderboard, to_html
from cerberus_bench.leaderboard.page_check import MAX_PAGE_BYTES, check_page
from cerberus_bench.leaderboard.store import read_results
from cerberus_bench.schema.errors import DataError
from cerberus_bench.workflows.leaderboard import push_board

__all__ = ["hub", "running_hub"]

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

RESULTS = Path(__file__).resolve().parent.parent / "docs/results"
SPACE = "org/board"
COMMIT = r"/api/spaces/.*/commit/"


@pytest.fixture(scope="module")
def page() -> str:
    return to_html(leaderboard(RESULTS))


def content(repo: Repo, path: str) -> bytes:
    entry = repo.at("main").files[path]
    return repo.blobs[entry.sha256] if entry.sha256 else entry.content or b""


def test_a_space_serves_the_page_and_holds_its_results(
    hub: LoopbackHub, page: str, tmp_path: Path
) -> None:
    pushed = push_board(RESULTS, SPACE)
    repo = hub.repo(SPACE, "space")
    assert pushed.commit == repo.branches["main"]
    assert f"/spaces/{SPACE}/tree/{pushed.commit}" in pushed.url
    assert content(repo, "index.html").decode() == page
    facts = yaml.safe_load(content(repo, "README.md").decode().split("---\n")[1])
    assert (facts["sdk"], facts["app_file"]) == ("static", "index.html")
    assert TAG in facts["tags"]
    for path in repo.at("main").files:
        if path.startswith("results/"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content(repo, path))
    assert to_html(leaderboard(tmp_path / "results")) == page


def test_nothing_is_sent_twice(hub: LoopbackHub) -> None:
    first = json.loads(run("leaderboard", RESULTS, "--push", SPACE, "--json"))["published"]
    assert "index.html" in first["changed"]
    again = json.loads(run("leaderboard", RESULTS, "--push", SPACE, "--json"))["published"]
    assert (again["commit"], again["changed"]) == (first["commit"], [])
    assert "nothing changed, no commit" in run("leaderboard", RESULTS, "--push", SPACE)
    assert hub.count("POST", COMMIT) == 1


def test_results_that_are_gone_go_and_other_files_stay(hub: LoopbackHub, tmp_path: Path) -> None:
    push_board(RESULTS, SPACE)
    repo = hub.repo(SPACE, "space")
    repo.put("NOTES.md", b"by another")
    fewer = shutil.copytree(RESULTS, tmp_path / "fewer")
    shutil.rmtree(fewer / "classical-watershed")
    changed = push_board(fewer, SPACE).changed
    assert {path.split("/")[0] for path in changed} == {"README.md", "index.html", "results"}
    left = repo.at("main").files
    assert "NOTES.md" in left
    assert not [path for path in left if "classical" in path]


def test_page_and_space_in_one_call(hub: LoopbackHub, page: str, tmp_path: Path) -> None:
    out = tmp_path / "board.html"
    told = json.loads(run("leaderboard", RESULTS, "--html", out, "--push", SPACE, "--json"))
    assert told["page"] == str(out)
    assert out.read_text(encoding="utf-8") == page
    assert told["published"]["repo"] == SPACE
    assert set(json.loads(run("leaderboard", RESULTS, "--html", out, "--json"))) == {"page"}


def test_a_new_space_may_be_private(hub: LoopbackHub) -> None:
    run("leaderboard", RESULTS, "--push", SPACE, "--private")
    assert hub.repo(SPACE, "space").private


def test_a_space_with_other_work_is_left_alone(hub: LoopbackHub) -> None:
    repo = hub.repos["space", SPACE] = Repo("space", SPACE)
    push_board(RESULTS, SPACE)  # nobody has touched the template of the Hub
    assert TAG.encode() in content(repo, "README.md")
    other = hub.repos["space", "org/mine"] = Repo("space", "org/mine")
    other.put("index.html", b"my own page")
    before = other.branches["main"]
    error = refused("leaderboard", RESULTS, "--push", "org/mine")
    assert error.exit_code == 2
    assert "org/mine holds something else than a leaderboard" in str(error)
    assert other.branches["main"] == before


def test_a_space_of_others_and_a_wrong_name_are_refused(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("board", "org/board@v1"):
        with pytest.raises(DataError, match=r"no place on the Hub|leave out the revision"):
            push_board(RESULTS, wrong)
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    with pytest.raises(HubAccessError, match="answered 403"):
        push_board(RESULTS, SPACE)
    assert hub.repos == {}


def test_a_bad_result_is_refused_before_anything_is_sent(hub: LoopbackHub, tmp_path: Path) -> None:
    spoiled = shutil.copytree(RESULTS, tmp_path / "results")
    path = next(spoiled.rglob("*.json"))
    path.write_text(path.read_text().replace('"tp": ', '"tp": 1', 1))
    with pytest.raises(DataError, match=re.escape(path.name)):
        push_board(spoiled, SPACE)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("<body>", "<body><img src=https://example.org/x.png>", "<img> has the attribute src"),
        ("<body>", "<body onload=alert(1)>", "<body> has the attribute onload"),
        ("<title>", '<link rel=stylesheet href="x.css"><title>', "<link> has the attribute href"),
        ("<title>", '<meta http-equiv=refresh content="0;url=//x"><title>', "http-equiv=refresh"),
        ("default-src 'none'", "default-src *", "lets it reach outside itself"),
        ("script-src", "script-src 'unsafe-inline'", "lets it reach outside itself"),
        ("'use strict';", "'use strict';alert(1);", "does not name a script of it by hash"),
        ("@layer shared", "p{}@layer shared", "does not name a style of it by hash"),
        ("Content-Security-Policy", "X", "0 content security policies|http-equiv=X"),
        ('id="board">{', 'id="board">', "its board is no JSON"),
        ('id="board"', 'id="other"', "does not name a script of it by hash"),
    ],
)
def test_a_page_that_reaches_outside_or_holds_no_board_is_refused(
    page: str, before: str, after: str, said: str
) -> None:
    check_page(page, "results")
    assert before in page
    with pytest.raises(DataError, match=said):
        check_page(page.replace(before, after, 1), "results")


def test_an_empty_or_endless_page_is_refused(page: str) -> None:
    with pytest.raises(DataError, match="its board has no table"):
        check_page(to_html(Board((), ())), "results")
    with pytest.raises(DataError, match=r"more than 20,000,000; publish fewer"):
        check_page(page + " " * MAX_PAGE_BYTES, "results")
    with pytest.raises(DataError, match="holds 0 boards"):
        check_page(re.sub(r"<script type.*?</script>", "", page, flags=re.S), "results")
    stored = read_results(RESULTS)
    with pytest.raises(DataError, match=rf"page of {len(stored)} results is not published"):
        board_release("<p>no board</p>", stored, Target(repo=SPACE))
