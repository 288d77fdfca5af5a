"""The page of the leaderboard: what it holds, and how it behaves in a real browser."""

import base64
import csv
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from board_builders import HALF_WIDTH, make_board
from headless import Page, find_chromium, wait_for

from cerberus_bench.eval.protocol import PROTOCOL
from cerberus_bench.leaderboard import board_rows, leaderboard, to_csv, to_html, to_markdown
from cerberus_bench.leaderboard.claims import all_claims, claims_on
from cerberus_bench.leaderboard.compare import Board
from cerberus_bench.leaderboard.content import THROUGHPUT, board_content
from cerberus_bench.loaders import registry

ATTACK = "<img src=x onerror=alert(1)>"
ESCAPE = "</script><script>alert(2)</script><!--"
MAX_EMPTY_BYTES = 300_000
MAX_SORT_MS = 100
WIDE, NARROW = 1280, 390


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="board">(.*?)</script>', html, re.S)
    assert found
    content = json.loads(found[1])
    assert isinstance(content, dict)
    return content


def test_the_page_holds_the_whole_board_as_data() -> None:
    board = make_board(4, ["phantom", "glas"], ["nuclei", "gland"])
    content = data_of(to_html(board))
    assert content == json.loads(json.dumps(board_content(board)))
    rows = [
        {**table["fields"], **entry["fields"], **column["fields"], **cell["fields"]}
        for table in content["tables"]
        for entry in table["entries"]
        for column, cell in zip(table["columns"], entry["cells"], strict=True)
    ]
    assert rows == board_rows(board)
    assert len({table["id"] for table in content["tables"]}) == 4


def test_the_page_is_a_function_of_the_board() -> None:
    assert to_html(make_board(3)) == to_html(make_board(3))


def test_the_page_is_small_and_names_no_other_file() -> None:
    html = to_html(Board((), ()))
    assert len(html.encode()) < MAX_EMPTY_BYTES
    assert not re.search(r"\b(src|href|action)\s*=|url\(|@import", html)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", html)


def test_only_its_own_script_and_style_may_run() -> None:
    html = to_html(make_board(2))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    for pattern in (r"<style>(.*?)</style>", r"<script>(.*?)</script>"):
        (inside,) = re.findall(pattern, html, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"sha256-{digest}" in policy[1]


def test_names_of_strangers_cannot_leave_the_data() -> None:
    html = to_html(make_board(2, names=[ATTACK, ESCAPE]))
    assert "<img" not in html
    assert html.count("<script") == html.count("</script>") == 2
    assert [entry["label"] for entry in data_of(html)["tables"][0]["entries"]] == [ATTACK, ESCAPE]


def test_differences_are_multi_minus_single() -> None:
    (table,) = board_content(make_board(3, tasks=["gland"]))["tables"]
    first = [pair for pair in table["pairs"] if pair[0] == 0]
    # models 0 and 2 are multi-task and model 1 is not; it lies between them
    assert [(multi, single) for _, multi, single, *_ in first] == [(0, 1), (2, 1)]
    for (_, _, _, value, low, high, _), sign in zip(first, (1, -1), strict=True):
        assert value == pytest.approx(sign * 0.4 / 3, abs=1e-4)
        assert (low, high) == pytest.approx((value - HALF_WIDTH, value + HALF_WIDTH))


def test_seeds_of_one_model_are_shown_as_spread() -> None:
    board = make_board(3, names=["twin"] * 3)
    (table,) = board.tables
    # entries 0 and 2 agree in all but seed and file once their parameters do
    entries = []
    for entry in (table.entries[0], table.entries[2]):
        model = entry.result.record.model.model_copy(update={"parameters": 5})
        record = entry.result.record.model_copy(update={"model": model})
        entries.append(replace(entry, result=replace(entry.result, record=record)))
    board = Board((replace(table, entries=tuple(entries), pairs=()),), ())
    said = "twin, 2 seeds: PQ 0.533 to 0.800, mean 0.667"
    assert said in board_content(board)["tables"][0]["notes"]
    assert said in to_markdown(board)
    assert "seeds" not in to_markdown(make_board(2))


@pytest.mark.parametrize(
    ("said", "understood"), [("12.5", 12.5), ("fast", None), ("nan", None), ("-1", None)]
)
def test_speed_is_shown_only_where_a_result_carries_it(said: str, understood: float | None) -> None:
    board = make_board(1)
    (table,) = board.tables
    (entry,) = table.entries
    assert board_content(board)["tables"][0]["entries"][0]["speed"] is None
    record = entry.result.record.model_copy(update={"provenance": {THROUGHPUT: said}})
    entry = replace(entry, result=replace(entry.result, record=record))
    board = Board((replace(table, entries=(entry,)),), ())
    assert board_content(board)["tables"][0]["entries"][0]["speed"] == understood


@pytest.mark.parametrize(
    ("repo", "revision", "linked"),
    [
        ("lab/unet", "ab" * 20, True),
        ("lab/unet", "main", False),
        ("javascript:alert(1)//x", "ab" * 20, False),
        ("lab/../..", "ab" * 20, False),
        ("", "", False),
    ],
)
def test_links_lead_to_a_commit_on_the_hub_or_nowhere(
    repo: str, revision: str, linked: bool
) -> None:
    board = make_board(1)
    (table,) = board.tables
    (entry,) = table.entries
    said = {"model_repo": repo, "model_revision": revision}
    record = entry.result.record.model_copy(update={"provenance": said})
    entry = replace(entry, result=replace(entry.result, record=record))
    content = board_content(Board((replace(table, entries=(entry,)),), ()))
    links = [fact[2:] for fact in content["tables"][0]["entries"][0]["facts"] if fact[2:]]
    assert links == ([[f"https://huggingface.co/{repo}/tree/{revision}"]] if linked else [])


def test_claims_belong_to_parts_and_scores_that_exist() -> None:
    parts = {
        spec.name: {f"official:{part}" for part in spec.expected_images} | {"test"}
        for spec in registry.specs()
    }
    claims = all_claims()
    assert len(claims) > 200
    for claim in claims:
        assert set(claim.splits) <= parts.get(claim.dataset, set(claim.splits)), claim
        assert claim.metric in {row.metric for row in PROTOCOL[claim.task]}, claim
        assert claim.unit == "px" or 0 <= claim.value <= 1, claim
        assert claim.source, claim
        assert claim.confidence in ("primary", "secondary", "derived"), claim


def test_claims_do_not_contradict_themselves() -> None:
    by_model: dict[tuple[str, ...], dict[str, float]] = {}
    for claim in all_claims():
        if claim.task == "nuclei":
            key = (claim.dataset, claim.model, claim.source)
            by_model.setdefault(key, {})[claim.metric] = claim.value
    for scores in by_model.values():
        assert scores.get("aji", 0) <= scores.get("dice", 1)
        if {"pq", "dq", "sq"} <= scores.keys():
            assert scores["pq"] == pytest.approx(scores["dq"] * scores["sq"], abs=0.01)


def test_claims_are_chosen_by_data_split_and_task() -> None:
    on_b = claims_on("glas", "official:testB", "gland")
    assert {claim.metric for claim in on_b} == {"object_f1", "object_dice", "object_hausdorff"}
    assert not {claim.model for claim in on_b if "161" in claim.note}
    assert claims_on("glas", "official:testA", "gland") != on_b
    assert claims_on("glas", "test", "gland") == []
    assert claims_on("glas", "official:testB", "nuclei") == []
    assert claims_on("phantom", "test", "nuclei") == []


def test_claims_of_unlike_conventions_stand_apart_and_are_never_ranked() -> None:
    board = make_board(2, ["consep"], split="official:test")
    (table,) = board_content(board)["tables"]
    groups = {group["convention"]: group for group in table["claims"]}
    assert len(groups) > 3
    assert all(
        len(row["values"]) == len(g["columns"]) for g in groups.values() for row in g["rows"]
    )
    assert "HoVer-Net" not in to_csv(board)
    assert len(table["entries"]) == 2


def test_the_contest_figures_are_as_published() -> None:
    (table,) = board_content(make_board(1, ["glas"], ["gland"], split="official:testA"))["tables"]
    (group,) = table["claims"]
    assert group["columns"] == ["Object F1", "Object Dice", "Object Hausdorff, px"]
    row = next(row for row in group["rows"] if row["model"] == "CUMedVision2 (DCAN)")
    assert (row["values"], row["year"]) == (["0.9116", "0.8974", "45.4182"], 2016)


def test_old_results_make_a_page() -> None:
    board = leaderboard(Path(__file__).parent / "historic")
    assert len(data_of(to_html(board))["tables"]) == 3


# ---- in a browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium on the path; on Debian: apt-get install chromium")
    with Page(executable, tmp_path_factory.mktemp("profile")) as opened:
        opened.call(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )
        yield opened


@pytest.fixture
def show(page: Page, tmp_path: Path) -> Iterator[Any]:
    """Open a board; afterwards nothing was fetched and nothing complained."""
    shown: list[str] = []

    def open_board(board: Board, part: str = "", width: int = WIDE) -> Page:
        path = tmp_path / "board.html"
        path.write_text(to_html(board), encoding="utf-8")
        shown.append(path.as_uri())
        page.open(path.as_uri() + part, width)
        return page

    yield open_board
    assert page.complaints == []
    assert {address.partition("#")[0] for address in page.requests} - {shown[-1]} == set()


LABELS = "[...document.querySelectorAll('#view .sortable tbody tr')].filter((row) => !row.hidden)"
NAMES = f"{LABELS}.map((row) => row.querySelector('.name').textContent)"


def press_head(page: Page, number: int) -> float:
    """Sort by a column, laid out anew; returns milliseconds."""
    spent = page.run(
        "(() => { const start = performance.now();"
        f" document.querySelectorAll('#view .sortable thead button')[{number}].click();"
        " document.body.getBoundingClientRect(); return performance.now() - start; })()"
    )
    return float(spent)


@pytest.fixture(scope="module")
def large() -> Board:
    """40 models on 8 datasets."""
    return make_board(40, [f"data-{i}" for i in range(8)], ["gland"])


def test_a_large_board_sorts_at_once(show: Any, large: Board) -> None:
    page = show(large, "#gland-data-3-test-0")
    names = [f"{('multi', 'single')[i % 2]}-model-{i:02d}" for i in range(40)]
    assert page.run(NAMES) == names
    spent = [press_head(page, 3) for _ in range(5)]
    assert min(spent) < MAX_SORT_MS
    assert page.run(NAMES) == names[::-1]
    press_head(page, 5)
    assert page.run(NAMES) == names, "small distances come first"
    press_head(page, 2)
    assert page.run(NAMES) == [*names[:3:-1], *names[2::-1], names[3]], "unknown comes last"
    sorts = page.run(
        "[...document.querySelectorAll('#view .measured th[aria-sort]')].map((h) => h.ariaSort)"
    )
    assert sorts == ["none", "none", "descending", "none", "none", "none"]
    page.run("document.querySelector('#tasks [data-id=overview]').click()")
    assert min(press_head(page, 2) for _ in range(5)) < MAX_SORT_MS


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_is_wider_than_the_window(show: Any, large: Board, width: int) -> None:
    for part in ("#overview", "#gland-data-0-test-0"):
        page = show(large, part, width)
        assert page.run("document.documentElement.scrollWidth") <= width


def test_filters_narrow_the_table(show: Any) -> None:
    page = show(make_board(6))
    page.run("document.querySelector('.kinds [value=multi]').click()")
    assert page.run(NAMES) == ["multi-model-00", "multi-model-02", "multi-model-04"]
    page.run(
        "(() => { const box = document.querySelector('[type=search]'); box.value = 'MODEL-04';"
        " box.dispatchEvent(new Event('input')); })()"
    )
    assert page.run(NAMES) == ["multi-model-04"]
    assert page.run("document.querySelector('[role=status]').textContent") == "1 model"
    page.run("document.querySelector('.kinds [value=single]').click()")
    assert page.run(NAMES) == []


def test_tabs_follow_the_keyboard(show: Any) -> None:
    page = show(make_board(2, ["phantom", "glas"], ["nuclei", "gland"]))
    title = "document.querySelector('#view h2').textContent"
    assert page.run(title) == "Everything at a glance"
    page.run("document.querySelector('#tasks [aria-selected=true]').focus()")
    for key, expected in (
        ("ArrowRight", "Nuclei on phantom"),
        ("End", "Glands on phantom"),
        ("ArrowRight", "Everything at a glance"),
        ("ArrowLeft", "Glands on phantom"),
    ):
        page.press(key)
        assert page.run(title) == expected
    page.run("document.querySelector('#datasets [aria-selected=true]').focus()")
    page.press("ArrowRight")
    assert page.run(title) == "Glands on glas"
    assert page.run("location.hash") == "#gland-glas-test-0"
    stops = page.run("[...document.querySelectorAll('[role=tab]')].map((tab) => tab.tabIndex)")
    assert sorted(stops) == [-1, -1, -1, 0, 0]
    page.run("location.hash = '#nuclei-phantom-test-0'")
    assert page.run(f"new Promise((r) => setTimeout(() => r({title}), 50))") == "Nuclei on phantom"
    name = page.run("document.getElementById('view').getAttribute('aria-labelledby')")
    assert page.run(f"document.getElementById('{name}').ariaSelected") == "true"


def test_the_downloaded_table_is_what_the_command_line_prints(show: Any, tmp_path: Path) -> None:
    board = make_board(3, tasks=["gland"], names=["=1+1", 'a "b", c', ATTACK])
    page = show(board)
    page.allow_downloads(tmp_path)
    page.run("document.querySelector('.save').click()")
    saved = wait_for(tmp_path / "cerberus-bench-gland-phantom-test-0.csv").read_text()
    rows, printed = (list(csv.DictReader(text.splitlines())) for text in (saved, to_csv(board)))
    assert [list(row) for row in rows] == [list(row) for row in printed]
    for row, other in zip(rows, printed, strict=True):
        for name, text in other.items():
            same = row[name] == text or float(row[name]) == float(text)
            assert same, name
    assert rows[0]["model"] == "'=1+1"


def test_names_of_strangers_stay_text(show: Any) -> None:
    page = show(make_board(4, ["phantom", ATTACK], names=[ATTACK, ESCAPE, f"x{ATTACK}", "plain"]))
    for tab in range(page.run("document.querySelectorAll('#tasks [role=tab]').length")):
        page.run(f"document.querySelectorAll('#tasks [role=tab]')[{tab}].click()")
        assert page.run("document.images.length") == 0
        assert page.run("document.scripts.length") == 2
        assert page.run(NAMES)[:2] == [ATTACK, ESCAPE]


def test_differences_are_drawn_against_a_chosen_model(show: Any) -> None:
    page = show(make_board(6))
    lines = (
        "[...document.querySelectorAll('.forest tbody tr')]"
        ".map((row) => [...row.querySelectorAll('th, td.strong')].map((cell) => cell.innerText))"
    )
    first = page.run(lines)
    assert [line[0] for line in first] == ["multi-model-00", "multi-model-02", "multi-model-04"]
    # .8 - .4 i / 6: model 1 lies .0667 below model 0
    assert first[0][1] == "+0.067"
    assert first[1][1] == "\N{MINUS SIGN}0.067"
    page.run(
        "(() => { const [, choice] = document.querySelectorAll('#view section select');"
        " choice.value = '5'; choice.dispatchEvent(new Event('change')); })()"
    )
    assert page.run(lines)[0][1] == "+0.333"
    assert page.run("document.querySelectorAll('.forest tbody svg .dot').length") == 3


def test_whiskers_lie_on_the_axis_of_their_column(show: Any) -> None:
    page = show(make_board(5))
    dots = page.run(
        "[...document.querySelectorAll('.measured tr td:nth-of-type(3) .dot')]"
        ".map((dot) => parseFloat(dot.getAttribute('cx')))"
    )
    assert dots == sorted(dots, reverse=True)
    assert 0 < dots[-1] < dots[0] < 100
    steps = [one - two for one, two in pairwise(dots)]
    assert steps == pytest.approx([steps[0]] * 4, abs=0.05)


def test_marks_and_claims_are_told_apart_from_measurements(show: Any) -> None:
    page = show(make_board(5, ["glas"], ["gland"], split="official:testB"))
    marks = page.run("[...document.querySelectorAll('.measured abbr')].map((mark) => mark.title)")
    assert marks == [
        "this data shares patients or images with training data",
        "not known what it was trained on",
    ]
    claims = page.run("document.querySelectorAll('.claims tbody tr').length")
    assert claims == 20
    assert page.run("document.querySelectorAll('.claims .chip').length") == claims
    assert page.run("document.querySelectorAll('.claims .rank').length") == 0
    assert page.run("document.querySelectorAll('.measured tbody tr').length") == 5
    assert page.run("document.querySelector('.scatter')") is None


def test_synthetic_data_and_speed_are_shown(show: Any) -> None:
    page = show(make_board(3, provenance={THROUGHPUT: "12"}))
    assert page.run("document.querySelector('.chip.warn').textContent") == "synthetic data"
    across = page.run(
        "[...document.querySelectorAll('.scatter .dot')]"
        ".map((dot) => Number(dot.getAttribute('cx')))"
    )
    assert across == sorted(across, reverse=True)
    assert len(across) == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(show: Any, page: Page, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.call("Emulation.setEmulatedMedia", features=features)
    show(make_board(2))
    ink, paper = (
        page.run(f"getComputedStyle(document.body).{name}.match(/\\d+/g).slice(0, 3).map(Number)")
        for name in ("color", "backgroundColor")
    )
    assert (sum(ink) > sum(paper)) == (scheme == "dark")
    assert abs(sum(ink) - sum(paper)) > 3 * 150
